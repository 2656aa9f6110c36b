import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { holdPort } from "../../src/embedded/host-server.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { runOn, writeInventory } from "./lib/volley.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}/site.ts`, import.meta.url));

describe.skipIf(!fleetAvailable())("three Debian hosts", () => {
  let fleet: Fleet;
  let inventory: string;
  let project: string;

  beforeAll(async () => {
    fleet = await bootFleet({ count: 3 });
    const [first] = fleet.hosts;
    for (const host of fleet.hosts) await host.exec(["apt-get", "update"]);
    inventory = writeInventory(fleet, {
      vars: {
        ansible_become: true,
        admin: "ops",
        domain: "www.example.org",
        port: 8089,
        sysctl: { "vm.swappiness": "10" },
      },
      groups: { web: [first!.name] },
    });
    // A copy of the sample project, to change its templates.
    project = join(fleet.folder, "project");
    for (const part of ["site.ts", "roles", "package.json"])
      cpSync(join(root, part), join(project, part), { recursive: true });
  });
  afterAll(() => fleet?.stop());

  const site = (): string => join(project, "site.ts");

  it("are changed by the sample playbook the first time", async () => {
    const { summary } = await runOn(fleet, { inventory, playbook: site() });
    expect(summary.hosts.map(({ host, failures, error }) => ({ host, failures, error }))).toEqual(
      fleet.hosts.map(({ name }) => ({ host: name, failures: [], error: undefined })),
    );
    expect(summary.exitCode).toBe(0);
    expect(summary.tally.changed).toBeGreaterThan(10);
    for (const { uploadedBytes } of summary.hosts) expect(uploadedBytes).toBeGreaterThan(10_000);
    const page = await fleet.hosts[0]!.exec([
      "curl",
      "-fsS",
      "-H",
      "Host: www.example.org",
      "http://127.0.0.1:8089/",
    ]);
    expect(page.stdout).toContain("Served by");
  });

  it("are unchanged the second time, and nothing is sent", async () => {
    const { summary, events } = await runOn(fleet, { inventory, playbook: site() });
    expect(summary.tally).toMatchObject({ changed: 0, failed: 0, notExecuted: 0 });
    expect(summary.tally.unchanged).toBeGreaterThan(10);
    expect(summary.hosts.map(({ uploadedBytes }) => uploadedBytes)).toEqual([0, 0, 0]);
    expect(events.filter(({ type }) => type === "host:upload")).toEqual([]);
  });

  it("show the diff of a changed template in check mode, and keep the old file", async () => {
    const template = join(project, "roles/base/templates/motd.j2");
    writeFileSync(template, `${readFileSync(template, "utf8")}A line more.\n`);
    const [first] = fleet.hosts;
    const before = await first!.exec(["stat", "-c", "%i %Y %Z %s", "/etc/motd"]);
    const { summary, events } = await runOn(fleet, { inventory, playbook: site(), check: true, diff: true });
    expect(summary.exitCode).toBe(0);
    const changed = events.flatMap((event) =>
      event.type === "task:end" && event.result.state === "changed" ? [event] : [],
    );
    expect(changed.map(({ name, host }) => [host, name]).sort()).toEqual(
      fleet.hosts.map(({ name }) => [name, "Greet whoever logs in"]),
    );
    expect(changed[0]?.result.diff?.[0]?.after).toContain("A line more.");
    expect((await first!.exec(["stat", "-c", "%i %Y %Z %s", "/etc/motd"])).stdout).toBe(before.stdout);

    const applied = await runOn(fleet, { inventory, playbook: site() });
    expect(applied.summary.tally.changed).toBe(3);
    expect(readFileSync(join(first!.root, "etc/motd"), "utf8")).toContain("A line more.");
  });

  it("go on when one of them fails, and count what it did not reach", async () => {
    const [first, second, third] = fleet.hosts.map(({ name }) => name);
    const broken = writeInventory(fleet, { hosts: { [second!]: { broken: true } } });
    const { summary } = await runOn(fleet, { inventory: broken, playbook: fixture("failing") });
    expect(summary.exitCode).toBe(2);
    const outcomes = Object.fromEntries(
      summary.hosts.map(({ host, outcome, tally }) => [host, [outcome, tally]]),
    );
    expect(outcomes[first!]).toEqual([
      "ok",
      { unchanged: 0, changed: 3, skipped: 1, failed: 0, ignored: 0, rescued: 0, notExecuted: 0 },
    ]);
    expect(outcomes[second!]).toEqual([
      "failed",
      { unchanged: 0, changed: 1, skipped: 0, failed: 1, ignored: 0, rescued: 0, notExecuted: 2 },
    ]);
    expect(outcomes[third!]?.[0]).toBe("ok");
    const traces = await fleet.hosts[1]!.exec(["sh", "-c", "ls /var/tmp | grep trace"]);
    expect(traces.stdout).toBe("trace-one\n");
  });

  it("finish while others cannot be reached, each within its time", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port: silentPort } = silent.address() as { readonly port: number };
    const closed = await holdPort();
    try {
      const mixed = writeInventory(fleet, {
        vars: { ansible_become: true },
        hosts: {
          refusing: { ansible_host: "127.0.0.1", ansible_port: closed.port },
          silent: {
            ansible_host: "127.0.0.1",
            ansible_port: silentPort,
            ansible_ssh_common_args: "-o ConnectTimeout=3",
          },
        },
      });
      const { summary } = await runOn(fleet, { inventory: mixed, playbook: fixture("failing") });
      const outcomes = Object.fromEntries(summary.hosts.map(({ host, outcome }) => [host, outcome]));
      expect(outcomes).toMatchObject({
        refusing: "unreachable",
        silent: "unreachable",
        [fleet.hosts[0]!.name]: "ok",
      });
      expect(summary.exitCode).toBe(4);
      const errorOf = (name: string): string =>
        summary.hosts.find(({ host }) => host === name)?.error?.message ?? "";
      expect(errorOf("refusing")).toContain("refused the connection");
      expect(errorOf("silent")).toContain("did not answer within 3 s");
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
      closed.release();
    }
  });

  it("run as another user than root, who cannot read the login user's home", async () => {
    const { summary } = await runOn(fleet, { inventory: writeInventory(fleet), playbook: fixture("become") });
    expect(summary.hosts.map(({ outcome, error }) => [outcome, error])).toEqual(
      fleet.hosts.map(() => ["ok", undefined]),
    );
    expect(readFileSync(join(fleet.hosts[0]!.root, "home/plain/who"), "utf8")).toBe("plain\n");
  });

  it("say so when the user may not become another", async () => {
    const [first] = fleet.hosts;
    const { summary } = await runOn(fleet, {
      inventory: writeInventory(fleet, { vars: { ansible_user: "plain", ansible_become: true } }),
      playbook: fixture("failing"),
      limit: first!.name,
    });
    expect(summary.hosts[0]?.error?.code).toBe("BECOME_FAILED");
    expect(summary.hosts[0]?.error?.message).toContain("plain cannot become root");
  });
});
