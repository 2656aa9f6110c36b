import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { fleetStarter, follow, hostOf, ofType, provision, start } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES, waitFor } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

function expectWellFormed(events: readonly Event[], hosts: readonly string[]): void {
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
  expect(events[0]?.type).toBe("run:start");
  expect(events.at(-1)?.type).toBe("run:end");
  expect(ofType(events, "run:start")).toHaveLength(1);
  expect(ofType(events, "run:end")).toHaveLength(1);
  for (const host of hosts) {
    const mine = events.filter((event) => "host" in event && event.host === host);
    expect(mine[0]?.type).toBe("host:connect");
    expect(mine.at(-1)?.type).toBe("host:end");
    for (const type of [
      "host:connect",
      "host:connected",
      "hello",
      "host:start",
      "bye",
      "host:end",
    ] as const) {
      expect(ofType(mine, type), `${host} ${type}`).toHaveLength(1);
    }
    const starts = ofType(mine, "task:start").map(({ task }) => task);
    expect(starts).toEqual(starts.map((_task, index) => index + 1));
    expect(ofType(mine, "task:end").map(({ task }) => task)).toEqual(starts);
  }
}

test.each([3, 12])("%i hosts: the first run changes, the second changes and sends nothing", async (count) => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count });
  const names = fleet.hosts.map(({ name }) => name);

  const first = await provision(project, fleet);
  expectWellFormed(first.events, names);
  expect(first.summary).toMatchObject({
    exitCode: 0,
    outcomes: { ok: count },
    tally: { changed: 2 * count, unchanged: 0 },
  });
  expect(fleet.hosts.map(({ home }) => readFileSync(join(home, "b"), "utf8"))).toEqual(
    names.map(() => "b\n"),
  );
  expect(first.summary.hosts.every(({ uploadedBytes }) => uploadedBytes > 0)).toBe(true);

  const sent = fleet.hosts.map(({ stats }) => stats.sftpBytesIn);
  const second = await provision(project, fleet);
  expectWellFormed(second.events, names);
  expect(second.summary).toMatchObject({
    exitCode: 0,
    outcomes: { ok: count },
    tally: { changed: 0, unchanged: 2 * count },
  });
  expect(second.summary.hosts.map(({ uploadedBytes }) => uploadedBytes)).toEqual(names.map(() => 0));
  expect(fleet.hosts.map(({ stats }) => stats.sftpBytesIn)).toEqual(sent);
  expect(ofType(second.events, "host:cached")).toHaveLength(count);
  expect(ofType(second.events, "run:build")[0]?.reused).toBe(true);
});

test("check mode touches nothing and carries diffs", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 2 });
  const { events, summary } = await provision(project, fleet, { check: true, diff: true });
  expect(summary).toMatchObject({ check: true, exitCode: 0, tally: { changed: 4 } });
  expect(fleet.hosts.some(({ home }) => existsSync(join(home, "a")))).toBe(false);
  const diffs = ofType(events, "task:end")
    .filter(({ host }) => host === "web01")
    .map(({ result }) => result.diff);
  const { home } = fleet.hosts[0]!;
  expect(diffs).toEqual([
    [expect.objectContaining({ path: join(home, "a"), before: null, after: "a\n" })],
    [expect.objectContaining({ path: join(home, "b"), before: null, after: "b\n" })],
  ]);
});

test("without being asked for, a diff's text does not travel", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1 });
  const { events } = await provision(project, fleet);
  expect(JSON.stringify(ofType(events, "task:end"))).not.toContain('"after"');
});

test("a task that fails on one host leaves the others", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "One", hosts: "all", tasks: ({ task, host }) => {
        task("Fail on web02", fail({ msg: "not here" }), { when: () => host.name === "web02" });
        task("After", debug({ msg: "reached" }));
      } }`,
      TWO_FILES,
    ),
  });
  const fleet = await startFleet({ count: 3 });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 2, outcomes: { ok: 2, failed: 1 } });
  expect(hostOf(ran, "web02")).toMatchObject({
    outcome: "failed",
    tally: { failed: 1, notExecuted: 3 },
    failures: [{ name: "Fail on web02" }],
  });
  expect(hostOf(ran, "web03").tally).toMatchObject({ changed: 2, failed: 0 });
  expect(existsSync(join(fleet.hosts[1]!.home, "a"))).toBe(false);
});

const SLOW_FIRST = (extra: string): string =>
  `{ name: "First", hosts: "all", ${extra} tasks: ({ task, facts, host }) => {
    task("Wait", ${waitFor("go")}, { when: () => host.name === "web01" });
  } }`;
const SECOND = `{ name: "Second", hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "second" })); } }`;

test("a slow host holds up the next play of all", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(SLOW_FIRST(""), SECOND) });
  const fleet = await startFleet({ count: 4 });
  let ended = 0;
  const { events, summary } = await follow(start(project, fleet), (event) => {
    if (event.type === "play:end" && event.index === 0 && ++ended === 3)
      writeFileSync(join(fleet.hosts[0]!.home, "go"), "");
  });
  expect(summary.exitCode).toBe(0);
  const lastEnd = Math.max(
    ...ofType(events, "play:end")
      .filter(({ index }) => index === 0)
      .map(({ seq }) => seq),
  );
  const firstStart = Math.min(
    ...ofType(events, "play:start")
      .filter(({ index }) => index === 1)
      .map(({ seq }) => seq),
  );
  expect(firstStart).toBeGreaterThan(lastEnd);
});

test("a free play holds nobody up", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(SLOW_FIRST(`strategy: "free",`), SECOND),
  });
  const fleet = await startFleet({ count: 4 });
  let ended = 0;
  // Were it a barrier, the slow host would never be let go.
  const { summary } = await follow(start(project, fleet), (event) => {
    if (event.type === "play:end" && event.index === 1 && ++ended === 3)
      writeFileSync(join(fleet.hosts[0]!.home, "go"), "");
  });
  expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 4 } });
});

function mostAtWork(events: readonly Event[], first: Event["type"], last: Event["type"]): number {
  let now = 0;
  let most = 0;
  for (const { type } of events) {
    if (type === first) most = Math.max(most, ++now);
    if (type === last) now--;
  }
  return most;
}

test("no more hosts than asked for are at work at a time, and as many begin at once", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 9 });
  const { events, summary } = await provision(project, fleet, { concurrency: 3 });
  expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 9 } });
  // A host whose connection takes longer than 500 ms lends its place until it is connected.
  expect(mostAtWork(events, "host:connected", "host:end")).toBeLessThanOrEqual(3);
  const begun = events.slice(
    0,
    events.findIndex(({ type }) => type === "host:end"),
  );
  expect(ofType(begun, "host:connect").length).toBeGreaterThanOrEqual(3);
});

test.each([
  ["barriers", `strategy: "linear",`],
  ["a free play first", `strategy: "free",`],
])("more hosts than places, three plays, %s: every host gets through, few at work", async (_what, extra) => {
  const say = (name: string, more: string): string =>
    `{ name: "${name}", hosts: "all", ${more} tasks: ({ task }) => { task("Say", debug({ msg: "${name}" })); } }`;
  const project = makeProject(scratch(), {
    "site.ts": playbookText(say("First", extra), say("Second", ""), say("Third", "")),
  });
  const fleet = await startFleet({ count: 5 });
  const { events, summary } = await provision(project, fleet, { concurrency: 2 });
  expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 }, tally: { unchanged: 15 } });
  expect(mostAtWork(events, "play:start", "play:end")).toBeLessThanOrEqual(2);
});

test("plays for some hosts only: each takes its own, in order", async () => {
  const say = (name: string, hosts: string, more = ""): string =>
    `{ name: "${name}", hosts: "${hosts}", ${more} tasks: ({ task }) => { task("Say", debug({ msg: "${name}" })); } }`;
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      say("A", "web01,web02", `strategy: "free",`),
      say("B", "web02,web03"),
      say("C", "web01,web03"),
      say("D", "all"),
    ),
  });
  const fleet = await startFleet({ count: 3 });
  const { events, summary } = await provision(project, fleet, { concurrency: 1 });
  expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 3 } });
  const played = (host: string): string[] =>
    ofType(events, "play:end")
      .filter((event) => event.host === host)
      .map(({ play }) => play);
  expect([played("web01"), played("web02"), played("web03")]).toEqual([
    ["A", "C", "D"],
    ["A", "B", "D"],
    ["B", "C", "D"],
  ]);
});

test("limit and tags narrow hosts and tasks", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 3 });
  const { summary, events } = await provision(project, fleet, { limit: "web02,web03", tags: ["second"] });
  expect(summary.hosts.map(({ host }) => host)).toEqual(["web02", "web03"]);
  expect(new Set(ofType(events, "task:end").map(({ name }) => name))).toEqual(new Set(["Write b"]));
  expect(fleet.hosts.map(({ home }) => [existsSync(join(home, "a")), existsSync(join(home, "b"))])).toEqual([
    [false, false],
    [false, true],
    [false, true],
  ]);
  const skipping = await provision(project, fleet, { limit: "web01", skipTags: ["second"] });
  expect(ofType(skipping.events, "task:end").map(({ name }) => name)).toEqual(["Write a"]);
});

test("what is wrong before the first host rejects, and the iterator with it", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1 });
  const running = start(project, fleet, { limit: "nobody" });
  await expect(running.summary).rejects.toMatchObject({ code: "PATTERN_UNKNOWN" });
  await expect(follow(running)).rejects.toMatchObject({ code: "PATTERN_UNKNOWN" });
  await expect(start(project, fleet, { concurrency: 0 }).summary).rejects.toMatchObject({ code: "USAGE" });
  expect(fleet.hosts[0]!.stats.connections).toBe(0);
});

test.each(["/bin/tcsh", "/usr/bin/fish", "/bin/zsh"].filter((shell) => existsSync(shell)))(
  "a host whose login shell is %s is provisioned, by a bundle and directly",
  async (shell) => {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const fleet = await startFleet({ count: 1, shell });
    for (const via of ["bundle", "direct"] as const) {
      const { summary } = await provision(project, fleet, { via });
      const tally = via === "bundle" ? { changed: 2, unchanged: 0 } : { changed: 0, unchanged: 2 };
      expect(summary, via).toMatchObject({ exitCode: 0, tally });
    }
    expect(readFileSync(join(fleet.hosts[0]!.home, "b"), "utf8")).toBe("b\n");
  },
);
