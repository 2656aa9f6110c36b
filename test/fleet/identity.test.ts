import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { run } from "../../src/controller/run.ts";
import type { Event } from "../../src/core/events.ts";
import { freeSshPort } from "./lib/address.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { hostPassword } from "./lib/recipe.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { type FleetRun, runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("fixtures/identity/site.ts", import.meta.url));

describe.skipIf(!fleetAvailable()).each(["bundle", "direct"] as const)("who is who, by %s", (via) => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await bootFleet({ count: 2, sharedHome: "deploy" });
  });
  afterAll(() => fleet?.stop());

  const traceFile = (host: number): string => join(fleet.hosts[host]!.root, "var/tmp/trace");
  const traceOf = (host: number): readonly string[] =>
    readFileSync(traceFile(host), "utf8").trim().split("\n");
  const forget = (): void => {
    for (const host of [0, 1]) rmSync(traceFile(host), { force: true });
  };
  const waits = ({ events }: FleetRun): readonly string[] =>
    events.flatMap((event) => (event.type === "log" && event.text.startsWith("waiting") ? [event.text] : []));

  it("machines whose home is one directory are all worked on, at the same time", async () => {
    forget();
    const ran = await runOn(fleet, { inventory: writeInventory(fleet), playbook, via });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 6 } });
    expect(waits(ran)).toEqual([]);
    for (const host of [0, 1])
      expect(traceOf(host)).toEqual(["begin", "end", "again"].map((what) => `${what} fleet${host + 1}`));
    const serial = await runOn(fleet, { inventory: writeInventory(fleet), playbook, via, concurrency: 1 });
    expect(serial.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 6 } });
  });

  it("another run on one of them is none of the other's", async () => {
    forget();
    const [first, second] = ["fleet1", "fleet2"].map((name) =>
      writeInventory(fleet, { hosts: { [name]: { wait_for: "/var/tmp/go" } } }),
    );
    const running = run({
      inventory: first!,
      limit: "fleet1",
      playbook,
      via,
      knownHostsFiles: [fleet.knownHostsPath],
      logDirectory: false,
    });
    let other: FleetRun | undefined;
    let refused: FleetRun | undefined;
    const events: Event[] = [];
    for await (const event of running) {
      events.push(event);
      if (event.type !== "task:output") continue;
      other = await runOn(fleet, { inventory: first!, limit: "fleet2", playbook, via, lockWaitMs: 0 });
      refused = await runOn(fleet, { inventory: second!, limit: "fleet1", playbook, via, lockWaitMs: 0 });
      writeFileSync(join(fleet.hosts[0]!.root, "var/tmp/go"), "");
    }
    expect((await running.summary).exitCode).toBe(0);
    expect(other?.summary.exitCode).toBe(0);
    expect(refused?.summary.hosts[0]).toMatchObject({ outcome: "failed", error: { code: "LOCKED" } });
    rmSync(join(fleet.hosts[0]!.root, "var/tmp/go"));
  });

  it("names of one machine through two ports and two users who become root each do their own work", async () => {
    forget();
    const [host] = fleet.hosts;
    const port = await freeSshPort(host!.address);
    await host!.exec([
      "sh",
      "-c",
      `echo 'Port ${port}' >/etc/ssh/sshd_config.d/30-second.conf; systemctl restart ssh`,
    ]);
    const known = readFileSync(fleet.knownHostsPath, "utf8").split("\n")[0]!.split(" ");
    writeFileSync(fleet.knownHostsPath, `[${host!.address}]:${port} ${known.slice(1).join(" ")}\n`, {
      flag: "a",
    });
    const names = {
      one: { ansible_user: "root" },
      two: { ansible_user: "root", ansible_port: port },
      three: { ansible_user: "pass", ansible_become: true, ansible_become_password: hostPassword },
      four: { ansible_user: "deploy", ansible_become: true },
    };
    const inventory = join(fleet.folder, "names.yaml");
    const vars = {
      ansible_host: host!.address,
      ansible_port: host!.port,
      ansible_ssh_private_key_file: fleet.privateKeyPath,
    };
    writeFileSync(inventory, stringify({ all: { vars, hosts: names } }));
    const ran = await runOn(fleet, { inventory, playbook, via, lockWaitMs: 0 });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 4 }, tally: { changed: 12 } });
    const lines = traceOf(0);
    expect(lines).toHaveLength(12);
    for (const [at, line] of lines.slice(0, 8).entries())
      if (at % 2 === 1) expect(line).toBe(lines[at - 1]!.replace("begin", "end"));
    const kept = await host!.exec(["sh", "-c", "ls /root/.cache/volley"]);
    expect(kept.stdout).not.toMatch(/^lock/m);
  });
});
