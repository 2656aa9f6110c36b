import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { runOn, writeInventory } from "./lib/volley.ts";

const playbook = fileURLToPath(new URL("../bench/site.ts", import.meta.url));
const methodsOf = (events: readonly Event[]): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(
    events.flatMap((event) => (event.type === "host:start" ? [[event.host, event.method]] : [])),
  );

describe.skipIf(!fleetAvailable())("hosts without Node", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await bootFleet({ count: 2, withoutNode: [2] });
  });
  afterAll(() => fleet?.stop());

  it.each([
    ["as root", { vars: { ansible_user: "root" } }],
    ["through sudo", { vars: { ansible_user: "deploy", ansible_become: true } }],
    [
      "through sudo with a password",
      { vars: { ansible_user: "pass", ansible_become: true, ansible_become_password: "correct horse" } },
    ],
  ] as const)("88 actions, %s: changed, then unchanged", async (_name, extra) => {
    await fleet.hosts[1]!.exec(["rm", "-rf", "/srv/bench"]);
    const options = {
      inventory: writeInventory(fleet, extra),
      playbook,
      via: "direct",
      limit: "fleet2",
    } as const;
    const first = await runOn(fleet, options);
    expect(first.summary).toMatchObject({ exitCode: 0, tally: { failed: 0, skipped: 1 } });
    expect(first.summary.tally.changed).toBeGreaterThan(70);
    const again = await runOn(fleet, options);
    expect(again.summary).toMatchObject({
      exitCode: 0,
      tally: { unchanged: 87, changed: 0, skipped: 1, failed: 0 },
    });
    expect((await fleet.hosts[1]!.exec(["sh", "-c", "command -v node nodejs"])).stdout).toBe("");
  });

  it("environments of several users stand neither in ps nor in sudo's log", async () => {
    const host = fleet.hosts[1]!;
    // Start the watcher before the run. The watcher stands for another user who lists processes.
    const watch =
      'while [ ! -e /run/watched ]; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " " >>/run/seen; done';
    const watching = host.exec(["sh", "-c", `rm -f /run/watched /run/seen; ${watch}`]);
    const { summary } = await runOn(fleet, {
      inventory: writeInventory(fleet, { vars: { ansible_user: "deploy" } }),
      playbook: fileURLToPath(new URL("./fixtures/environment/site.ts", import.meta.url)),
      via: "direct",
      limit: "fleet2",
    });
    await host.exec(["touch", "/run/watched"]);
    await watching;
    expect(summary).toMatchObject({ exitCode: 0, tally: { changed: 5 } });
    const { stdout: log } = await host.exec(["journalctl", "--no-pager", "--all", "_COMM=sudo"]);
    expect(log).toMatch(/USER=nobody .*COMMAND=/);
    expect(log).not.toContain("k9-secret");
    const { stdout: seen } = await host.exec(["cat", "/run/seen"]);
    expect(seen).toContain("volley_n=");
    expect(seen).not.toContain("k9-secret");
  });

  it("auto: a bundle where there is Node, directly where there is none, with the same result", async () => {
    const inventory = writeInventory(fleet, { vars: { ansible_user: "root" } });
    for (const host of fleet.hosts) await host.exec(["rm", "-rf", "/srv/bench"]);
    const { events, summary } = await runOn(fleet, { inventory, playbook, via: "auto" });
    expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expect(methodsOf(events)).toEqual({ fleet1: "bundle", fleet2: "direct" });
    const content =
      "cd /srv/bench && find . -type f -exec sha256sum {} + | sort && find . -printf '%p %m %u %g\\n' | sort";
    const [one, other] = await Promise.all(fleet.hosts.map((host) => host.exec(["sh", "-c", content])));
    expect(one!.stdout.length).toBeGreaterThan(1_000);
    expect(other!.stdout).toBe(one!.stdout);
  });
});
