import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { fleetStarter, follow, start } from "../e2e/lib/drive.ts";
import { makeProject, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { queueStarter, reachTo } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const startQueue = queueStarter();

const HOSTS = 40;

/** The events of each host in their order, without what differs from run to run. */
function byHost(events: readonly Event[]): Record<string, unknown[]> {
  const found: Record<string, unknown[]> = {};
  for (const event of events) {
    if (!("host" in event)) continue;
    const { seq: _seq, time: _time, host, ...rest } = event;
    const plain = JSON.parse(JSON.stringify(rest, (key, value) => (VARYING.has(key) ? undefined : value)));
    found[host] = [...(found[host] ?? []), plain];
  }
  return found;
}

const VARYING = new Set([
  "dest",
  "delta",
  "start",
  "end",
  "src",
  "elapsedMs",
  "pid",
  "cpuMs",
  "phases",
  "port",
  "address",
]);

describeQueue("runs by a queue", () => {
  test("a run by two workers has the summary and the events of a run without", async () => {
    const project = makeProject(scratch(), {
      "site.ts": playbookText(
        `{ name: "One", hosts: "all", tasks: ({ task }) => {
          task("Write", copy({ dest: "~/a.txt", content: "a\\n" }));
          task("Say", command({ argv: ["echo", "hello"] }));
        } }`,
        `{ name: "Two", hosts: "all", serial: 15, tasks: ({ task }) => {
          task("Write again", copy({ dest: "~/b.txt", content: "b\\n" }));
          task("Fail on one", shell("[ ! -e ~/bad ]"));
        } }`,
      ),
    });
    const startHosts = async (): Promise<EmbeddedFleet> => {
      const fleet = await startFleet({ count: HOSTS });
      writeFileSync(join(fleet.hosts[4]!.home, "bad"), "");
      return fleet;
    };
    const plainFleet = await startHosts();
    const plain = await follow(start(project, plainFleet));
    const fleet = await startHosts();
    const queue = await startQueue();
    const reach = reachTo(fleet);
    const workers = [await queue.work({ name: "w1", reach }), await queue.work({ name: "w2", reach })];
    const queued = await follow(start(project, fleet, {}, await queue.open()));
    expect(workers.flatMap(({ said }) => said)).toEqual([]);
    expect(byHost(queued.events)).toEqual(byHost(plain.events));
    expect(queued.summary).toMatchObject({
      tally: plain.summary.tally,
      outcomes: plain.summary.outcomes,
      exitCode: 2,
    });
    expect(plain.summary).toMatchObject({
      tally: { changed: 4 * HOSTS - 1, failed: 1 },
      exitCode: 2,
    });
    expect(workers.map(({ meter }) => meter.status().done).reduce((sum, each) => sum + each)).toBe(HOSTS);
  });
});
