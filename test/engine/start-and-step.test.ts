import { expect, test } from "vitest";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { roleOf, runPlays, runTasks, totals } from "./run-plays.ts";

const changed = noop({ changed: true });

const two = roleOf("first", ({ task }) => {
  task("one", noop({}));
  task("two", changed);
});
const three = roleOf("second", async ({ task }) => {
  await task("three", noop({}));
  task("two", noop({}));
});

test.each([
  ["three", ["unchanged second three", "unchanged second two"]],
  ["second : two", ["unchanged second two"]],
  ["tw*", ["changed first two", "unchanged second three", "unchanged second two"]],
  ["s?cond : t*", ["unchanged second three", "unchanged second two"]],
])("a run starts at the first task called %s", async (startAtTask, ended) => {
  const plays = [
    { hosts: "all", roles: [two] },
    { hosts: "all", roles: [three] },
  ];
  const run = await runPlays(plays, { options: { startAtTask } });
  expect(run.ended).toEqual(ended);
  expect(totals(run).at(-1)).toBe(ended.length);
});

test("a start that no task has leaves all out, and says so", async () => {
  const run = await runPlays([{ hosts: "all", roles: [two] }], { options: { startAtTask: "nine" } });
  expect(run.ended).toEqual([]);
  expect(run.failed).toBe(false);
  expect(run.of("log").map(({ text }) => text)).toEqual([
    'no task is called "nine", where the run was to start: no task was run',
  ]);
});

test("each task is asked for, its handler too, and one that is not wanted is left out", async () => {
  const run = await runPlays(
    [
      {
        hosts: "all",
        roles: [
          roleOf(
            "r",
            ({ task }) => {
              task("a", changed, { notify: "h" });
              task("b", changed);
              task("c", changed);
            },
            { handlers: { h: noop({}) } },
          ),
        ],
      },
    ],
    {
      options: { step: true, barriers: true },
      ask: async (key) => (key === "step:2" ? { result: { state: "skipped" } } : null),
    },
  );
  expect(run.questions).toMatchObject([
    { kind: "step", step: 1, name: "a", nth: 1 },
    { kind: "step", step: 2, name: "b" },
    { kind: "step", step: 3, name: "c" },
    { kind: "step", step: 4, name: "h", handler: true },
  ]);
  expect(run.ended).toEqual(["changed r a", "changed r c", "unchanged r h"]);
});

test("the run ends where nobody is left to ask", async () => {
  const run = await runTasks(({ task }) => void task("a", changed), {
    options: { step: true, barriers: true },
    ask: async () => undefined,
  });
  expect(run).toMatchObject({ cancelled: true, ended: [] });
});

test.each([
  [true, ["changed r a", "failed r b", "unchanged r h"], []],
  [false, ["changed r a", "failed r b"], ["r:h"]],
])("with forced handlers %s", async (forceHandlers, ended, left) => {
  let kept: readonly string[] = [];
  const run = await runTasks(
    ({ task }) => {
      task("a", changed, { notify: "h" });
      task("b", fail("no"));
      task("c", changed);
    },
    {
      handlers: { h: noop({}) },
      options: { forceHandlers },
      leftovers: { load: () => [], save: (_play, names) => (kept = names) },
    },
  );
  expect(run.ended).toEqual(ended);
  expect(kept).toEqual(left);
  expect(run).toMatchObject({ failed: true, tally: { failed: 1, notExecuted: forceHandlers ? 1 : 2 } });
});

test("a play behind the one that is known to have the start is done whole", async () => {
  const plays = [
    { hosts: "all", roles: [two] },
    { hosts: "all", roles: [three] },
  ];
  // This host takes no part in the play that has the start.
  const run = await runPlays(plays, {
    job: { plays: [1] },
    options: { startAtTask: "one", startAtPlay: 0 },
  });
  expect(run.ended).toEqual(["unchanged second three", "unchanged second two"]);
});
