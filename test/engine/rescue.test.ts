import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openState, readEarlier, type StateRecord } from "../../src/agent/state-store.ts";
import type { ActionCall } from "../../src/core/action.ts";
import { isVolleyError } from "../../src/core/errors.ts";
import type { RoleDefinition } from "../../src/core/role.ts";
import { command, fail, noop, reboot, shell, TaskFailed } from "../../src/index.ts";
import { makeWorkplace, roleOf, runPlays, runTasks, totals, type Workplace } from "./run-plays.ts";

type Tasks = RoleDefinition<never, string, unknown>["tasks"];

const changed = noop({ changed: true });

/** The state that a run with this state store leaves behind. */
const stateOf = (place: Workplace): readonly StateRecord[] => openState(place.directory).read();

describe("a failed task comes back to the code that declared it", () => {
  const cases: readonly (readonly [string, Tasks, object])[] = [
    [
      "caught: the role goes on, and the failure is rescued",
      async ({ task }) => {
        try {
          await task("a", fail("no"));
        } catch {
          task("repair", changed);
        }
        task("after", noop({}));
      },
      { ended: ["failed r a", "changed r repair", "unchanged r after"], rescued: 1 },
    ],
    [
      "a block: what is declared behind the failed task is not executed",
      async ({ task }) => {
        try {
          task("a", noop({}));
          task("b", fail("no"));
          task("c", noop({}));
          await task("d", noop({}));
        } catch {
          task("repair", noop({}));
        } finally {
          await task("always", noop({}));
        }
      },
      {
        ended: ["unchanged r a", "failed r b", "unchanged r repair", "unchanged r always"],
        rescued: 1,
        notExecuted: 2,
      },
    ],
    [
      "thrown on: not rescued",
      async ({ task }) => {
        try {
          await task("a", fail("no"));
        } catch (error) {
          await task("note", noop({}));
          throw error;
        }
      },
      { ended: ["failed r a", "unchanged r note"], failed: 1 },
    ],
    [
      "a pure try/finally cleans up, and the failure goes on",
      async ({ task }) => {
        try {
          await task("a", fail("no"));
          task("never", noop({}));
        } finally {
          await task("clean up", changed);
        }
      },
      { ended: ["failed r a", "changed r clean up"], failed: 1 },
    ],
    [
      "thrown on as the cause of another error: not rescued either",
      async ({ task }) => {
        try {
          await task("a", fail("no"));
        } catch (cause) {
          throw new Error("it is broken", { cause });
        }
      },
      { ended: ["failed r a", "failed r the role's own code"], failed: 2 },
    ],
    [
      "a rescue that fails: the first failure is rescued, the second is not",
      async ({ task }) => {
        try {
          await task("a", fail("no"));
        } catch {
          await task("repair", fail("no either"));
        }
      },
      { ended: ["failed r a", "failed r repair"], failed: 1, rescued: 1 },
    ],
    [
      "not awaited: the host ends, also when the code has ended before",
      ({ task }) => {
        task("a", fail("no"));
        task("never", noop({}));
      },
      { ended: ["failed r a"], failed: 1, notExecuted: 1 },
    ],
    [
      "not awaited though the code goes on: what it declares is not executed",
      async ({ task, system }) => {
        task("a", fail("no"));
        for (let time = 0; time < 20; time++) await system.stat("/");
        task("never", noop({}));
      },
      { ended: ["failed r a"], failed: 1, notExecuted: 1 },
    ],
    [
      "awaited only after other things: caught all the same",
      async ({ task, system }) => {
        const a = task("a", fail("no"));
        for (let time = 0; time < 20; time++) await system.stat("/");
        task("behind", noop({}));
        try {
          await a;
        } catch {
          task("repair", noop({}));
        }
      },
      { ended: ["failed r a", "unchanged r repair"], rescued: 1, notExecuted: 1 },
    ],
    [
      "Promise.allSettled catches",
      async ({ task }) => {
        await Promise.allSettled([task("a", noop({})), task("b", fail("no")), task("c", noop({}))]);
        task("after", noop({}));
      },
      { ended: ["unchanged r a", "failed r b", "unchanged r after"], rescued: 1, notExecuted: 1 },
    ],
    [
      "ignored: nothing is thrown, and nothing is rescued",
      async ({ task }) => {
        await task("a", fail("no"), { ignoreErrors: true });
        task("after", noop({}));
      },
      { ended: ["failed r a", "unchanged r after"], ignored: 1 },
    ],
    [
      "a loop fails as one task",
      async ({ task }) => {
        await task("a", (item: number) => (item === 2 ? fail("no") : noop({})), { loop: [1, 2, 3] }).then(
          undefined,
          () => {},
        );
        task("after", noop({}));
      },
      { ended: ["failed r a", "unchanged r after"], rescued: 1 },
    ],
    [
      "tried again until it works",
      async ({ task }) => {
        for (let tries = 1; ; tries++) {
          try {
            await task(`try ${tries}`, tries < 3 ? fail("not yet") : noop({}));
            return;
          } catch (error) {
            if (!(error instanceof TaskFailed)) throw error;
          }
        }
      },
      { ended: ["failed r try 1", "failed r try 2", "unchanged r try 3"], rescued: 2 },
    ],
  ];

  test.each(cases)("%s", async (_what, tasks, expected) => {
    const {
      ended,
      failed = 0,
      rescued = 0,
      notExecuted = 0,
      ignored = 0,
    } = expected as {
      readonly ended: readonly string[];
    } & Readonly<Record<string, number>>;
    for (const check of [false, true]) {
      const run = await runPlays(
        [
          { hosts: "all", roles: [roleOf("r", tasks)] },
          { hosts: "all", roles: [roleOf("next", ({ task }) => void task("t", noop({})))] },
        ],
        { options: { check } },
      );
      const goesOn = failed === 0;
      expect(run.ended).toEqual([...ended, ...(goesOn ? ["unchanged next t"] : [])]);
      expect(run.tally).toMatchObject({
        failed,
        ignored,
        rescued,
        notExecuted: notExecuted + (goesOn ? 0 : 1),
      });
      expect(run.failed).toBe(!goesOn);
      expect(run.of("play:end")[0]?.failed).toBe(!goesOn);
      expect(run.of("task:rescued")).toHaveLength(rescued);
      const { unchanged, changed: changes, skipped } = run.tally;
      const sum = unchanged + changes + skipped + run.tally.failed + ignored + rescued + notExecuted;
      expect(Math.max(...totals(run))).toBe(sum);
      expect(totals(run)).toEqual([...totals(run)].sort((one, other) => one - other));
    }
  });

  test("code that waits for something else when a task fails may await and rescue the failure later", async () => {
    let onFailed: () => void = () => {};
    const failed = new Promise<void>((resolve) => {
      onFailed = resolve;
    });
    const run = await runTasks(
      async ({ task }) => {
        const a = task("a", fail("no"));
        await failed;
        await new Promise(setImmediate);
        try {
          await a;
        } catch {
          await task("repair", noop({}));
        }
      },
      { onEvent: ({ type }) => void (type === "task:end" && onFailed()) },
    );
    expect(run.ended).toEqual(["failed r a", "unchanged r repair"]);
    expect(run).toMatchObject({ failed: false, tally: { rescued: 1 } });
  });

  test("TaskFailed has the task's name and its result", async () => {
    const caught: unknown[] = [];
    await runTasks(async ({ task }) => {
      const failing = task("Ask", command(["sh", "-c", "echo out; exit 3"]));
      await failing.then(undefined, (error: unknown) => caught.push(error, failing.failed));
    });
    const [error, failed] = caught as [TaskFailed<{ readonly rc: number }>, boolean];
    expect(error).toBeInstanceOf(TaskFailed);
    expect(error.name).toBe("TaskFailed");
    expect(isVolleyError(error)).toBe(true);
    expect(isVolleyError(error) && error.code).toBe("ACTION_FAILED");
    expect(error.task).toBe("Ask");
    expect(error.message).toMatch(/^task "Ask" failed: /);
    expect(error.result).toMatchObject({ failed: true, data: { rc: 3, stdout: "out" } });
    expect(failed).toBe(true);
  });

  test("a task that was not executed answers no question", async () => {
    const run = await runTasks(async ({ task }) => {
      const a = task("a", fail("no"));
      const b = task("b", noop({}));
      await a.then(undefined, () => {});
      task("asks", noop({}), { when: () => b.changed });
    });
    expect(run.task("asks").error?.message).toBe('"b" was not executed: it has no `changed`');
  });

  test("handlers notified before the failure run at the end of the play", async () => {
    const run = await runTasks(
      async ({ task }) => {
        task("change", changed, { notify: "h" });
        await task("a", fail("no")).then(undefined, () => {});
      },
      { handlers: { h: noop({}) } },
    );
    expect(run.ended).toEqual(["changed r change", "failed r a", "unchanged r h"]);
  });

  test("a handler that fails at a flush point comes back to the code, as in Ansible", async () => {
    const run = await runTasks(
      async ({ task, flushHandlers }) => {
        task("change", changed, { notify: "bad" });
        flushHandlers();
        try {
          await task("never", noop({}));
        } catch {
          task("repair", noop({}));
        }
      },
      { handlers: { bad: fail("no") } },
    );
    expect(run.ended).toEqual(["changed r change", "failed r bad", "unchanged r repair"]);
    expect(run.tally).toMatchObject({ failed: 0, rescued: 1, notExecuted: 1 });
  });

  test("a runOnce task that failed on another host can be rescued here", async () => {
    const run = await runTasks(
      async ({ task }) => {
        await task("once", noop({}), { runOnce: true }).then(undefined, () => task("repair", noop({})));
      },
      {
        options: { barriers: true },
        ask: async () => ({
          result: { state: "failed", from: "web9", error: { code: "ACTION_FAILED", message: "no" } },
        }),
      },
    );
    expect(run.ended).toEqual(["failed r once", "unchanged r repair"]);
    expect(run.tally).toMatchObject({ failed: 0, rescued: 1 });
    expect(run.failed).toBe(false);
  });
});

describe("a run that goes on behind a rescued failure", () => {
  /** Fails, repairs, and restarts the host; a restart does nothing but end the process. */
  const play = (traces: string, isRestarting: boolean) => {
    const trace = (word: string): ActionCall => shell(`echo ${word} >> ${traces}`) as ActionCall;
    return [
      {
        hosts: "all",
        roles: [
          roleOf("r", async ({ task }) => {
            try {
              task("before", trace("before"));
              await task("breaks", shell(`echo breaks >> ${traces}; exit 1`));
            } catch {
              await task("repair", trace("repair"));
            }
            if (isRestarting)
              await task(
                "restart",
                reboot({ reboot_command: `echo down >> ${traces}; exit 0`, reboot_timeout: 30 }),
              );
            else await task("ends", fail("here"));
          }),
        ],
      },
    ];
  };

  test("the same run keeps the failure, and what repaired it", async () => {
    using place = makeWorkplace();
    const traces = place.path("traces");
    const kill = new AbortController();
    let records: readonly StateRecord[] = [];
    await runPlays(play(traces, true), {
      survivesRestart: true,
      state: place.directory,
      cancel: kill.signal,
      kill: kill.signal,
      onEvent: (event) => {
        if (event.type !== "restart") return;
        const timer = setInterval(() => {
          if (!readFileSync(traces, "utf8").includes("down")) return;
          clearInterval(timer);
          // A process that is gone keeps nothing of how its last task ended.
          records = stateOf(place);
          kill.abort();
        }, 5);
      },
    });
    const run = await runPlays(play(traces, true), {
      survivesRestart: true,
      earlier: readEarlier(records, { sameRun: true, restarted: true }),
    });
    expect(readFileSync(traces, "utf8").trim().split("\n")).toEqual(["before", "breaks", "repair", "down"]);
    expect(run.ended).toEqual(["changed r restart"]);
    expect(run.tally).toMatchObject({ changed: 3, failed: 0, rescued: 1 });
    expect(run.failed).toBe(false);
  });

  test("another run does again what the role had not rescued, and all behind it", async () => {
    using place = makeWorkplace();
    const traces = place.path("traces");
    const first = await runPlays(play(traces, false), { state: place.directory });
    const records = stateOf(place);
    expect(first.tally).toMatchObject({ failed: 1, rescued: 1 });
    // The role's code ended with another failure, but had rescued the first.
    const run = await runPlays(play(traces, false), {
      earlier: readEarlier(records, { sameRun: false, restarted: false }),
    });
    expect(readFileSync(traces, "utf8").trim().split("\n")).toEqual(["before", "breaks", "repair"]);
    expect(run.tally).toMatchObject({ failed: 1, rescued: 1 });
    const unrescued = records.filter((record) => !("rescued" in record));
    await runPlays(play(traces, false), {
      earlier: readEarlier(unrescued, { sameRun: false, restarted: false }),
    });
    expect(readFileSync(traces, "utf8").trim().split("\n").slice(3)).toEqual(["breaks", "repair"]);
  });
});

test("code that throws an error of its own has rescued nothing: a run that resumes does the failed task again", async () => {
  const run = await runTasks(async ({ task }) => {
    try {
      await task("f", fail("no"));
    } catch {
      throw new Error("set-up failed");
    }
  });
  expect(run.ended).toEqual(["failed r f", "failed r the role's own code"]);
  expect(run.tally).toMatchObject({ failed: 2, rescued: 0 });
  expect(run.of("task:rescued")).toEqual([]);
});
