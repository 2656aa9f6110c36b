import { mkdtempSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { logFileOf } from "../../src/controller/records/records.ts";
import type { Event } from "../../src/core/events.ts";
import { volley } from "../e2e/lib/cli.ts";
import { fleetStarter, ofType } from "../e2e/lib/drive.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";
import { killInFirstPlay, SLOW, SLOW_TASKS } from "../e2e/lib/slow.ts";
import { queueStarter, reachTo } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

function eventsOf(stdout: string): readonly Event[] {
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
}

describeQueue("attaching to a run in a queue", () => {
  test("a controller is killed: another machine watches, takes over, and tells every result once", async () => {
    const fleet = await startFleet({ count: 3 });
    const queue = await startQueue();
    await queue.work({ reach: reachTo(fleet) });
    const project = makeProject(scratch(), { "site.ts": SLOW });
    const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
    const ofQueue = ["-o", "json", "--queue", queue.server.url, "--queue-key", queue.keyFile];
    const killed = await volley(["run", "site.ts", "-i", inventory, ...ofQueue], {
      cwd: project.directory,
      on: killInFirstPlay,
    });
    expect(killed.code).toBeNull();
    const [run] = await queue.connections.open("test").zrange("volley:runs", 0, -1);
    const refused = await volley(["attach", run!], { cwd: project.directory });
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining(`volley attach --queue ${queue.server.url}`),
    ]);

    // Another machine has neither the playbook nor the records.
    const elsewhere = mkdtempSync(join(scratch(), "elsewhere-"));
    const env = { XDG_STATE_HOME: join(elsewhere, "state") };
    const attach = (...more: readonly string[]) =>
      volley(["attach", ...ofQueue, ...more], { cwd: elsewhere, env });
    const watching = attach(run!, "--watch");
    const taken = await attach();
    expect(taken.stderr).toMatch(/has lost its controller: this process goes on with it/);
    expect(taken.code).toBe(0);
    const events = eventsOf(taken.stdout);
    const end = events.at(-1);
    if (end?.type !== "run:end") throw new Error(`the last event is ${end?.type}`);
    expect(end.summary.hosts.map(({ host, outcome, tally }) => [host, outcome, tally.changed])).toEqual(
      fleet.hosts.map(({ name }) => [name, "ok", SLOW_TASKS.length]),
    );
    for (const { name: host, home } of fleet.hosts) {
      const ends = ofType(events, "task:end").filter((event) => event.host === host);
      expect(ends.map(({ name }) => name)).toEqual(SLOW_TASKS);
      expect(readFileSync(join(home, "done"), "utf8").trim().split("\n")).toEqual(SLOW_TASKS);
    }
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, at) => at + 1));
    expect(
      eventsOf(readFileSync(logFileOf(join(elsewhere, "state/volley/runs"), run!), "utf8")),
    ).toHaveLength(events.length);
    expect(eventsOf((await watching).stdout)).toEqual(events);

    const shown = await attach(run!, "-o", "plain");
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining("3 hosts: 3 ok")]);
  });
});
