import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { debug } from "../../src/actions/flow/debug.ts";
import { shell } from "../../src/actions/system/command.ts";
import { openState, readEarlier } from "../../src/agent/state-store.ts";
import type { Answer } from "../../src/core/protocol.ts";
import { readWhole, writeWhole } from "../../src/vars/whole-value.ts";
import { makeWorkplace, type RunOptions, roleOf, runPlays, runTasks, type Workplace } from "./run-plays.ts";

const DONE: Answer = { result: { state: "changed", from: "web9", data: { stdout: "theirs" } } };

function traces(place: Workplace): readonly string[] {
  const path = place.path("traces");
  return existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
}

/** A task that is done once, twice by the same name, and one that says what came of it. */
function runOnce(place: Workplace, given: RunOptions, notes: string[] = []) {
  const trace = (word: string) => shell(`echo ${word} >> ${place.path("traces")}; echo ${word}`);
  const role = roleOf(
    "r",
    async ({ task }) => {
      const one = await task("once", trace("one"), { runOnce: true, notify: "h" });
      const two = await task("once", trace("two"), { runOnce: true, ignoreErrors: true });
      notes.push(`${one.data.stdout} ${two.state}`);
      task("last", debug({ msg: "last" }));
    },
    { handlers: { h: trace("handler") } },
  );
  return runPlays([{ hosts: "all", roles: [role] }], {
    ...given,
    options: { barriers: true, ...given.options },
  });
}

test("asks, and does what it is told to do", async () => {
  using place = makeWorkplace();
  const run = await runOnce(place, { ask: async () => null });
  expect(traces(place)).toEqual(["one", "two", "handler"]);
  expect(run.questions.map(({ index, task, name, nth }) => [index, task, name, nth])).toEqual([
    [0, 1, "once", 1],
    [0, 2, "once", 2],
  ]);
});

test("takes what another host came to: nothing is done or notified, and the role goes by it", async () => {
  using place = makeWorkplace();
  const failed: Answer = {
    result: { state: "failed", from: "web9", error: { code: "ACTION_FAILED", message: "no" } },
  };
  const notes: string[] = [];
  const run = await runOnce(place, { ask: async (task) => (task === "1" ? DONE : failed) }, notes);
  expect(traces(place)).toEqual([]);
  expect(notes).toEqual(["theirs failed"]);
  expect(run.ended).toEqual(["skipped r once", "failed r once", "unchanged r last"]);
  expect(run.of("task:end")[1]!.result).toEqual({
    state: "failed",
    from: "web9",
    ignored: true,
    error: { code: "ACTION_FAILED", message: "web9: no" },
  });
  expect(run.tally).toEqual({
    unchanged: 1,
    changed: 0,
    skipped: 1,
    failed: 0,
    ignored: 1,
    rescued: 0,
    notExecuted: 0,
  });
});

test("asks nobody where nobody is connected", async () => {
  using place = makeWorkplace();
  const run = await runOnce(place, { options: { barriers: false }, ask: async () => DONE });
  expect(traces(place)).toEqual(["one", "two", "handler"]);
  expect(run.questions).toEqual([]);
});

test("when nobody is left to say, the run ends there", async () => {
  using place = makeWorkplace();
  const run = await runOnce(place, { ask: async (task) => (task === "1" ? DONE : undefined) });
  expect(run).toMatchObject({ cancelled: true, tally: { skipped: 1, failed: 0, notExecuted: 1 } });
});

test("goes on behind a restart: what it did is not done again, what it was told it asks for again", async () => {
  using place = makeWorkplace();
  const stop = new AbortController();
  await runOnce(place, {
    state: place.directory,
    cancel: stop.signal,
    ask: async (task) => (task === "1" ? DONE : null),
    onEvent: (event) => {
      if (event.type === "task:end" && event.task === 2) stop.abort();
    },
  });
  expect(traces(place)).toEqual(["two"]);
  const asked: string[] = [];
  const notes: string[] = [];
  const again: RunOptions = {
    earlier: readEarlier(openState(place.directory).read(), { sameRun: true, restarted: true }),
    ask: async (task) => {
      asked.push(task);
      return task === "1" ? DONE : null;
    },
  };
  const run = await runOnce(place, again, notes);
  expect(asked).toEqual(["1", "2"]);
  expect(traces(place)).toEqual(["two"]);
  // Neither is told again.
  expect(run.ended).toEqual(["unchanged r last"]);
  expect(notes).toEqual(["theirs changed"]);
  expect(run.tally).toEqual({
    unchanged: 1,
    changed: 1,
    skipped: 1,
    failed: 0,
    ignored: 0,
    rescued: 0,
    notExecuted: 0,
  });
});

test("resumed by another run, what another host had done may be this one's to do", async () => {
  using place = makeWorkplace();
  await runOnce(place, { ask: async () => DONE, state: place.directory });
  await runOnce(place, {
    earlier: readEarlier(openState(place.directory).read(), { sameRun: false, restarted: false }),
    ask: async () => null,
  });
  expect(traces(place)).toEqual(["one", "two", "handler"]);
});

test("what another host found out comes whole, and is told of masked", async () => {
  const found = {
    state: "changed" as const,
    data: { stdout: `${"x".repeat(70_000)} hunter2hunter2 ********` },
  };
  const answer: Answer = {
    result: { state: "changed", from: "web9" },
    whole: writeWhole(found),
    secrets: ["hunter2hunter2"],
  };
  const run = await runTasks(
    async ({ task }) => {
      const once = await task("once", shell("false"), { runOnce: true });
      task("length", debug({ msg: `${once.data.stdout.length}` }));
      task("end", debug({ msg: once.data.stdout.slice(-25) }));
    },
    { options: { barriers: true }, ask: async () => answer },
  );
  expect(run.task("length").message).toBe("70024");
  expect(run.task("end").message).toBe("x ******** ********");
});

test("data that did not come is not taken for none", async () => {
  const run = await runTasks(
    async ({ task }) => {
      const once = await task("once", shell("false"), { runOnce: true });
      task("use", () => debug({ msg: once.data.stdout }), { when: () => once.changed });
    },
    {
      options: { barriers: true },
      ask: async () => ({ result: { state: "changed", from: "web9" }, partial: true }),
    },
  );
  expect(run.task("use").error?.message).toMatch(
    /found out on web9 cannot be told here: it is too long, lost, or/,
  );
});

test("what others are to know is told whole, apart from what is told of the task", async () => {
  const run = await runTasks(
    ({ task }) => void task("secret", shell("echo hush"), { runOnce: true, noLog: true }),
    { options: { barriers: true }, ask: async () => null },
  );
  const [whole] = run.shared;
  expect(readWhole(whole ?? "")).toMatchObject({ state: "changed", data: { stdout: "hush" } });
  expect(run.of("task:end")[0]).toMatchObject({ partial: true, result: { hidden: true } });
});
