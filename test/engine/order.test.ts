import { expect, test } from "vitest";
import { debug } from "../../src/actions/flow/debug.ts";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { command } from "../../src/actions/system/command.ts";
import { tallyTotal } from "../../src/core/result.ts";
import type { TaskHandle } from "../../src/core/role.ts";
import { makeWorkplace, roleOf, runPlays, runTasks, totals } from "./run-plays.ts";

test("plays, roles and tasks run in the order they are written in", async () => {
  const role = (name: string) =>
    roleOf(name, ({ task }) => {
      task("one", noop({}));
      task("two", noop({ changed: true }));
    });
  const run = await runPlays([
    {
      name: "First",
      hosts: "all",
      roles: [role("a"), role("b")],
      tasks: ({ task }) => void task("own", debug("hi")),
    },
    { name: "Second", hosts: "all", roles: [role("c")] },
  ]);
  expect(run.ended).toEqual([
    "unchanged a one",
    "changed a two",
    "unchanged b one",
    "changed b two",
    "unchanged First own",
    "unchanged c one",
    "changed c two",
  ]);
  expect(run.tally).toEqual({
    unchanged: 4,
    changed: 3,
    skipped: 0,
    failed: 0,
    ignored: 0,
    rescued: 0,
    notExecuted: 0,
  });
  expect(run.events.map(({ type }) => type).filter((type) => type.startsWith("play:"))).toEqual([
    "play:start",
    "play:end",
    "play:start",
    "play:end",
  ]);
  expect(run.of("task:start").map(({ task }) => task)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(run.of("task:end")[0]).toMatchObject({
    play: "First",
    role: "a",
    name: "one",
    action: "noop",
    task: 1,
  });
});

test("what is declared before any await is in the first total", async () => {
  const run = await runTasks(({ task }) => {
    for (const name of ["a", "b", "c"]) task(name, noop({}));
  });
  expect(totals(run)).toEqual([3]);
});

test("totals of later plays go on from those of earlier ones", async () => {
  const play = { hosts: "all", roles: [roleOf("r", ({ task }) => void task("t", noop({})))] };
  expect(totals(await runPlays([play, play, play]))).toEqual([1, 2, 3]);
});

test("what a role declares after an await makes the total grow, never more than what runs", async () => {
  const run = await runTasks(async ({ task }) => {
    const first = await task("first", noop({ changed: true }));
    if (!first.changed) return;
    task("second", noop({}));
    await task("third", noop({}));
    task("fourth", noop({}));
  });
  expect(totals(run)).toEqual([1, 3, 4]);
  expect(run.ended).toHaveLength(4);
});

test("notified handlers are part of the total, and the total never shrinks while they run", async () => {
  const run = await runTasks(
    ({ task }) => void task("t", noop({ changed: true }), { notify: ["one", "two"] }),
    {
      handlers: { one: noop({ changed: true }), two: [noop({}), noop({ changed: true })] },
    },
  );
  expect(run.ended).toEqual([
    "changed r t",
    "changed r one",
    "unchanged r two (noop)",
    "changed r two (noop)",
  ]);
  expect(totals(run)).toEqual([1, 4]);
});

test("a role decides in plain TypeScript what it does next, from a result and its data", async () => {
  const run = await runTasks(async ({ task, log }) => {
    const said = await task("Say", command(["printf", "one\\ntwo\\n"]));
    log(`${said.data.rc} ${said.data.stdout_lines.length} ${said.changed} ${said.skipped} ${said.failed}`);
    for (const line of said.data.stdout_lines) task(`Handle ${line}`, noop({}));
  });
  expect(run.of("log")).toEqual([{ type: "log", level: "info", text: "0 2 true false false" }]);
  expect(run.ended).toEqual(["changed r Say", "unchanged r Handle one", "unchanged r Handle two"]);
});

test("a handle asked before its task has run says so, and what to do", async () => {
  const run = await runTasks(({ task }) => {
    const first = task("first", noop({ changed: true }));
    task("second", noop({}), { when: first.changed });
  });
  const error = run.of("task:end").at(-1)?.result.error;
  expect(error?.code).toBe("PLAYBOOK_INVALID");
  expect(error?.message).toContain('"first" has not run yet');
  expect(error?.hint).toMatch(/await the task first/);
  expect(run.tally.failed).toBe(1);
});

test("a handle can be asked in a later task's when, also of another role", async () => {
  let first: TaskHandle | undefined;
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("a", ({ task }) => {
          first = task("first", noop({ changed: true }));
          task("yes", noop({}), { when: () => first?.changed === true });
          task("no", noop({}), { when: () => first?.state === "unchanged" });
        }),
        roleOf(
          "b",
          ({ task }) => void task("yes too", noop({}), { when: async () => first?.changed === true }),
        ),
      ],
    },
  ]);
  expect(run.ended).toEqual(["changed a first", "unchanged a yes", "skipped a no", "unchanged b yes too"]);
});

test("a failed task ends the role and the host: the rest is counted exactly, later plays too", async () => {
  const more = roleOf("more", ({ task }) => {
    task("m1", noop({}));
    task("m2", () => noop({}), { loop: [1, 2, 3] });
  });
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf(
          "r",
          ({ task }) => {
            task("changes", noop({ changed: true }), { notify: "pending" });
            task("fails", fail("no"));
            task("never", noop({}));
          },
          { handlers: { pending: [noop({}), noop({})] } },
        ),
        more,
      ],
    },
    { hosts: "all", roles: [more, more] },
  ]);
  expect(run.ended).toEqual(["changed r changes", "failed r fails"]);
  // Not executed: one task of the role itself, two of the role after it, two of its handler, four of the next play.
  expect(run.tally).toEqual({
    unchanged: 0,
    changed: 1,
    skipped: 0,
    failed: 1,
    ignored: 0,
    rescued: 0,
    notExecuted: 9,
  });
  expect(tallyTotal(run.tally)).toBe(11);
  expect(run.of("play:start")).toHaveLength(1);
  expect(run.of("play:end")).toMatchObject([{ failed: true }]);
  expect(run.error).toBeUndefined();
});

test("awaiting a task that fails unwinds the role's code, finally blocks included", async () => {
  const seen: string[] = [];
  await runTasks(async ({ task }) => {
    try {
      await task("fails", fail("no"));
      seen.push("after");
    } finally {
      seen.push("finally");
    }
  });
  expect(seen).toEqual(["finally"]);
});

test("a role's own code that throws fails the host, after what it had declared before", async () => {
  const run = await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("r", async ({ task }) => {
          await task("first", noop({}));
          throw new TypeError("no such thing");
        }),
        roleOf("later", ({ task }) => void task("never", noop({}))),
      ],
    },
  ]);
  expect(run.ended).toEqual(["unchanged r first", "failed r the role's own code"]);
  expect(run.task("the role's own code").error).toMatchObject({
    code: "INTERNAL",
    message: "TypeError: no such thing",
  });
  expect(run.tally).toEqual({
    unchanged: 1,
    changed: 0,
    skipped: 0,
    failed: 1,
    ignored: 0,
    rescued: 0,
    notExecuted: 1,
  });
});

test("task() called wrongly says how it is called", async () => {
  const wrong = async (
    call: (task: (...args: unknown[]) => unknown) => void,
  ): Promise<string | undefined> => {
    const run = await runTasks(({ task }) => call(task as never));
    return run.of("task:end")[0]?.result.error?.message;
  };
  expect(await wrong((task) => task(noop({})))).toContain("task() takes a name first");
  expect(await wrong((task) => task("t", noop))).toBeDefined();
  expect(await wrong((task) => task("t", { path: "/x" }))).toContain('task "t" needs an action');
});

test("the system given to a role's code is read when its turn has come", async () => {
  using place = makeWorkplace();
  const path = place.path("made");
  const seen: boolean[] = [];
  await runPlays([
    {
      hosts: "all",
      roles: [
        roleOf("maker", ({ task }) => void task("make", command(["touch", path]))),
        roleOf("reader", async ({ system }) => void seen.push((await system.stat(path)) !== null)),
      ],
    },
  ]);
  expect(seen).toEqual([true]);
});
