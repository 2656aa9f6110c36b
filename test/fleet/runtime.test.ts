import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { packageFile } from "../../src/bundle/runtimes/builds.ts";
import { fetchRuntime } from "../../src/bundle/runtimes/fetch.ts";
import type { Runtime } from "../../src/bundle/runtimes/store.ts";
import { carryBundle } from "../../src/controller/prepare/carry.ts";
import { makePackage } from "../bundle/runtimes/packages.ts";
import { ARCH } from "../e2e/lib/runtimes.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { type FleetRun, runOn, writeInventory } from "./lib/volley.ts";

// Hosts without Node that get a real one: this process's, packed as a fetched one is.

const playbook = fileURLToPath(new URL("../bench/site.ts", import.meta.url));
const method = ({ events }: FleetRun): unknown => events.find((event) => event.type === "host:start")?.method;

describe.skipIf(!fleetAvailable())("hosts without Node are sent one", () => {
  let fleet: Fleet;
  let cache: string;
  let runtime: Runtime;
  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), "volley-cache-"));
    vi.stubEnv("XDG_CACHE_HOME", cache);
    const { build, bytes } = await makePackage(ARCH, {
      LICENSE: "as it is\n",
      "bin/node": readFileSync(process.execPath),
    });
    writeFileSync(join(cache, packageFile(build)), bytes);
    const builds = { x64: build, arm64: build };
    ({ runtime } = await fetchRuntime({ arch: ARCH, withLibraries: "always", from: cache, builds }));
    fleet = await bootFleet({ count: 1, withoutNode: [1] });
  });
  afterAll(async () => {
    await fleet?.stop();
    vi.unstubAllEnvs();
    rmSync(cache, { recursive: true, force: true });
  });

  it.each([
    ["as root", { ansible_user: "root" }, "/root"],
    ["through sudo", { ansible_user: "deploy", ansible_become: true }, "/home/deploy"],
    [
      "through sudo with a password",
      { ansible_user: "pass", ansible_become: true, ansible_become_password: "correct horse" },
      "/root",
    ],
  ] as const)("88 actions, %s: sent once, then nothing", async (_name, vars, home) => {
    const [host] = fleet.hosts;
    await host!.exec(["rm", "-rf", "/srv/bench", "/root/.cache"]);
    const options = { inventory: writeInventory(fleet, { vars }), playbook, runtime: "send" } as const;
    const first = await runOn(fleet, options);
    expect(first.summary).toMatchObject({ exitCode: 0, tally: { failed: 0, skipped: 1 } });
    expect(method(first)).toBe("bundle");
    expect(first.summary.hosts[0]!.uploadedBytes).toBeGreaterThan(runtime.bytes);
    const again = await runOn(fleet, options);
    expect(again.summary).toMatchObject({ exitCode: 0, tally: { unchanged: 87, changed: 0, skipped: 1 } });
    expect(again.summary.hosts[0]!.uploadedBytes).toBe(0);
    const { stdout } = await host!.exec(["ls", "-A", `${home}/.cache/volley/runtimes`]);
    expect(stdout.trim()).toBe(runtime.id);
  });

  it("a home that is mounted noexec: a line says so, nothing is sent, and another directory is taken", async () => {
    const [host] = fleet.hosts;
    await host!.exec(["mount", "-t", "tmpfs", "-o", "noexec,size=1g", "tmpfs", "/root/.cache"]);
    try {
      const vars = { ansible_user: "root" };
      const options = { playbook, runtime: "send", via: "bundle" } as const;
      const refused = await runOn(fleet, { ...options, inventory: writeInventory(fleet, { vars }) });
      expect(refused.summary.hosts[0]).toMatchObject({ uploadedBytes: 0, error: { code: "NODE_MISSING" } });
      expect(refused.summary.hosts[0]!.error!.message).toMatch(/mounted noexec/);
      const elsewhere = { ...vars, volley_runtime_dir: "/opt/volley" };
      const inventory = writeInventory(fleet, { vars: elsewhere });
      expect((await runOn(fleet, { ...options, inventory })).summary).toMatchObject({ exitCode: 0 });
    } finally {
      await host!.exec(["umount", "/root/.cache"]);
    }
  });

  it.each([
    ["as root", { ansible_user: "root" }],
    [
      "through sudo with a password",
      { ansible_user: "pass", ansible_become: true, ansible_become_password: "correct horse" },
    ],
  ] as const)(
    "a disk without room, %s: a line says so, nothing is sent, and nothing is left",
    async (_name, vars) => {
      const [host] = fleet.hosts;
      await host!.exec(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", "/root/.cache"]);
      try {
        const inventory = writeInventory(fleet, { vars });
        const { summary } = await runOn(fleet, { inventory, playbook, runtime: "send", via: "bundle" });
        expect(summary.hosts[0]).toMatchObject({ uploadedBytes: 0, error: { code: "NODE_MISSING" } });
        expect(summary.hosts[0]!.error!.message).toMatch(
          /Node needs \d+ MiB there, of which \d+ MiB are free/,
        );
        expect((await host!.exec(["find", "/root/.cache", "-type", "f"])).stdout).toBe("");
      } finally {
        await host!.exec(["umount", "/root/.cache"]);
      }
    },
  );

  it("a bundle that holds Node runs on its own, and unpacks it once", async () => {
    const [host] = fleet.hosts;
    const { bytes } = await carryBundle({ playbook, cwd: process.cwd(), runtimes: [ARCH] });
    await host!.exec(["sh", "-c", "rm -rf /root/.cache; base64 -d >/root/site.run"], {
      input: bytes.toString("base64"),
    });
    for (const _time of [1, 2]) {
      const { code, stdout } = await host!.exec(["sh", "/root/site.run", "--local", "any"]);
      expect(stdout).toContain("87 unchanged");
      expect(code).toBe(0);
    }
    expect((await host!.exec(["ls", "-A", "/root/.cache/volley/runtimes"])).stdout.trim()).toBe(runtime.id);
  });
});
