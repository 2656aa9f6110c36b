import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { noop } from "../../src/actions/flow/noop.ts";
import { shell } from "../../src/actions/system/command.ts";
import { until } from "../lib/patience.ts";
import { makeWorkplace, roleOf, runPlays, runTasks } from "./run-plays.ts";

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    // A zombie is dead: nobody has asked for its exit code yet.
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

test("stop lets the action now running finish; the rest is not executed, handlers included", async () => {
  using place = makeWorkplace();
  const stop = new AbortController();
  const done = place.path("done");
  const role = roleOf(
    "r",
    ({ task }) => {
      task("first", noop({ changed: true }), { notify: "h" });
      task("running", shell(`echo started; sleep 0.2; touch ${done}`));
      task("never", noop({}));
    },
    { handlers: { h: noop({}) } },
  );
  const run = await runPlays(
    [
      { hosts: "all", roles: [role] },
      { hosts: "all", roles: [role] },
    ],
    { cancel: stop.signal, onEvent: ({ type }) => void (type === "task:output" && stop.abort()) },
  );
  expect(existsSync(done)).toBe(true);
  expect(run.ended).toEqual(["changed r first", "changed r running"]);
  expect(run.tally).toEqual({
    unchanged: 0,
    changed: 2,
    skipped: 0,
    failed: 0,
    ignored: 0,
    rescued: 0,
    notExecuted: 5,
  });
  expect(run.cancelled).toBe(true);
  expect(run.of("play:end")).toMatchObject([{ failed: false }]);
});

test("stop does not wait for a role's own code", async () => {
  const stop = new AbortController();
  let asked = false;
  const run = await runPlays(
    [
      {
        hosts: "all",
        roles: [
          roleOf("r", async ({ task, system }) => {
            await task("first", noop({}));
            asked = true;
            setImmediate(() => stop.abort());
            await system.query(["sleep", "600"]);
          }),
          roleOf("next", ({ task }) => void task("never", noop({}))),
        ],
      },
    ],
    { cancel: stop.signal },
  );
  expect(asked).toBe(true);
  expect(run.ended).toEqual(["unchanged r first"]);
  expect(run).toMatchObject({ cancelled: true, tally: { notExecuted: 1 } });
});

test("stop while a role waits for a task unwinds its code", async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  await runTasks(
    async ({ task }) => {
      task("first", shell("echo x"));
      try {
        await task("second", noop({}));
        seen.push("went on");
      } finally {
        seen.push("unwound");
      }
    },
    { cancel: stop.signal, onEvent: ({ type }) => void (type === "task:output" && stop.abort()) },
  );
  await until(() => seen.length > 0);
  expect(seen).toEqual(["unwound"]);
});

test("kill ends the command now running, with the processes it has started", async () => {
  using place = makeWorkplace();
  const stop = new AbortController();
  const kill = new AbortController();
  const pids = place.path("pids");
  const run = await runTasks(
    ({ task }) => {
      task("running", shell(`sleep 600 & echo $! $$ > ${pids}; echo started; wait`));
      task("never", noop({}));
    },
    {
      cancel: stop.signal,
      kill: kill.signal,
      onEvent: ({ type }) => {
        if (type !== "task:output") return;
        stop.abort();
        kill.abort();
      },
    },
  );
  expect(run.task("running").error).toMatchObject({ code: "CANCELLED" });
  expect(run).toMatchObject({ cancelled: true, tally: { failed: 1, notExecuted: 1 } });
  const [child = 0, parent = 0] = readFileSync(pids, "utf8").split(" ").map(Number);
  expect(child).toBeGreaterThan(1);
  await until(() => !isAlive(child) && !isAlive(parent));
});

test("kill begins no further item of a loop", async () => {
  using place = makeWorkplace();
  const kill = new AbortController();
  const path = place.path("items");
  const run = await runTasks(
    ({ task }) =>
      void task("t", (item: number) => shell(`echo ${item} >> ${path}; echo started; sleep 600`), {
        loop: [1, 2, 3],
      }),
    {
      cancel: kill.signal,
      kill: kill.signal,
      onEvent: ({ type }) => void (type === "task:output" && kill.abort()),
    },
  );
  expect(readFileSync(path, "utf8")).toBe("1\n");
  expect(run.task("t").items?.map(({ error }) => error?.code)).toEqual([
    "CANCELLED",
    "CANCELLED",
    "CANCELLED",
  ]);
});

test("stopped before it begins, nothing runs and everything is counted", async () => {
  const run = await runTasks(
    ({ task }) => {
      task("a", noop({}));
      task("b", noop({}));
    },
    { cancel: AbortSignal.abort() },
  );
  expect(run.ended).toEqual([]);
  expect(run).toMatchObject({ cancelled: true, tally: { notExecuted: 2 } });
});

test("stop ends the tasks of a role whose code was left where it asked something unknown", async () => {
  const stop = new AbortController();
  const run = await runTasks(
    async ({ task }) => {
      const probe = task("probe", shell("true"), { check: true });
      task("running", shell("echo started"));
      task("never", noop({ changed: true }));
      if ((await probe).changed) task("nor this", noop({}));
    },
    { cancel: stop.signal, onEvent: ({ type }) => void (type === "task:output" && stop.abort()) },
  );
  expect(run.cancelled).toBe(true);
  expect(run.ended).not.toContain("changed r never");
});
