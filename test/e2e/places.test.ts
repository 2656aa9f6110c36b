import { expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { fleetStarter, ofType, provision } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const SAY = `{ name: "Say", hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "hi" })); } }`;

function ends(events: readonly Event[]): readonly string[] {
  return ofType(events, "host:end").map(({ host, outcome }) => `${host} ${outcome}`);
}

test("hosts that do not answer lend their places: those behind them are done first, one at a time", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(SAY) });
  const fleet = await startFleet({
    count: 6,
    faults: (index) => (index < 3 ? { kind: "hang" } : undefined),
  });
  const { events } = await provision(project, fleet, {
    concurrency: 1,
    connectTimeoutMs: 20_000,
    connectRetries: 0,
  });
  expect(ends(events).slice(0, 3)).toEqual(["web04 ok", "web05 ok", "web06 ok"]);
  expect(ends(events).slice(3).sort()).toEqual([
    "web01 unreachable",
    "web02 unreachable",
    "web03 unreachable",
  ]);
  let atWork = 0;
  for (const { type } of events) {
    if (type === "host:start") atWork++;
    if (type === "host:end" && atWork > 0) atWork--;
    expect(atWork).toBeLessThanOrEqual(1);
  }
});

test("a host that is slow to answer takes its turn again, and never beside another", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(SAY) });
  const fleet = await startFleet({
    count: 3,
    faults: (index) => (index === 0 ? { kind: "slow", delayMs: 300 } : undefined),
  });
  const { events, summary } = await provision(project, fleet, { concurrency: 1 });
  expect(summary.exitCode).toBe(0);
  const begun: string[] = [];
  for (const event of events) {
    if (event.type === "play:start") begun.push(event.host);
    if (event.type === "play:end") begun.splice(begun.indexOf(event.host), 1);
    expect(begun.length).toBeLessThanOrEqual(1);
  }
});
