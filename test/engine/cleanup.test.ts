import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isVolleyError } from "../../src/core/errors.ts";
import type { TargetEvent } from "../../src/core/events.ts";
import { debug, fail, noop, shell, TaskFailed } from "../../src/index.ts";
import { until } from "../lib/patience.ts";
import { makeWorkplace, roleOf, runPlays, runTasks } from "./run-plays.ts";

describe("finally runs under cancel", () => {
  /** Cancels the run once a task has printed this. */
  const cancelAt = (text: string, cancel: AbortController) => ({
    cancel: cancel.signal,
    onEvent: (event: TargetEvent) => {
      if (event.type === "task:output" && event.text.includes(text)) cancel.abort();
    },
  });

  test("the tasks of a finally block are carried out, and no others", async () => {
    using place = makeWorkplace();
    const cancel = new AbortController();
    const errors: unknown[] = [];
    const run = await runPlays(
      [
        {
          hosts: "all",
          roles: [
            roleOf("r", async ({ task }) => {
              try {
                await task("mount", shell("echo mounted"));
                task("one more", noop({}));
                await task("work", noop({}));
              } catch (error) {
                errors.push(error);
                throw error;
              } finally {
                task("umount", shell(`touch ${place.path("umounted")}`), { until: () => true });
                await task("forget", noop({}));
              }
              task("never", noop({}));
            }),
            roleOf("next", ({ task }) => void task("never", noop({}))),
          ],
        },
      ],
      cancelAt("mounted", cancel),
    );
    expect(run.ended).toEqual(["changed r mount", "changed r umount", "unchanged r forget"]);
    expect(run).toMatchObject({ cancelled: true, failed: false, tally: { failed: 0, notExecuted: 3 } });
    expect(existsSync(place.path("umounted"))).toBe(true);
    expect(errors).toHaveLength(1);
    expect(errors[0]).not.toBeInstanceOf(TaskFailed);
    expect(isVolleyError(errors[0]) && errors[0].code).toBe("CANCELLED");
  });

  test("code that asks the system is unwound too", async () => {
    const cancel = new AbortController();
    const run = await runTasks(
      async ({ task, system }) => {
        try {
          await task("first", noop({}));
          setImmediate(() => cancel.abort());
          await system.query(["sleep", "600"]);
          task("never", noop({}));
        } finally {
          await task("clean up", debug((await system.query(["echo", "ok"])).stdout.trim()));
        }
      },
      { cancel: cancel.signal },
    );
    expect(run.ended).toEqual(["unchanged r first", "unchanged r clean up"]);
    expect(run.task("clean up").message).toBe("ok");
  });

  test("kill ends what cleans up", async () => {
    const cancel = new AbortController();
    const kill = new AbortController();
    const run = await runTasks(
      async ({ task }) => {
        try {
          task("first", shell("echo first"));
          await task("never", noop({}));
        } finally {
          await task("clean up", shell("echo cleaning; sleep 600"));
          task("nor this", noop({}));
        }
      },
      {
        cancel: cancel.signal,
        kill: kill.signal,
        onEvent: (event) => {
          if (event.type !== "task:output") return;
          if (event.text.includes("first")) cancel.abort();
          if (event.text.includes("cleaning")) kill.abort();
        },
      },
    );
    expect(run.ended).toEqual(["changed r first", "failed r clean up"]);
    expect(run.task("clean up").error?.code).toBe("CANCELLED");
    expect(run.cancelled).toBe(true);
  });

  test("code that swallows the cancel and goes on ends with the kill, and is left behind", async () => {
    const cancel = new AbortController();
    const kill = new AbortController();
    let tries = 0;
    const run = await runTasks(
      async ({ task }) => {
        for (;;) {
          try {
            tries++;
            await task("again", shell("echo again"));
          } catch {
            // Whatever it is.
          }
        }
      },
      {
        cancel: cancel.signal,
        kill: kill.signal,
        onEvent: ({ type }) => {
          if (type !== "task:output") return;
          cancel.abort();
          if (tries > 3) kill.abort();
        },
      },
    );
    expect(run.cancelled).toBe(true);
    const before = tries;
    await new Promise((resolve) => setImmediate(resolve));
    expect(tries).toBe(before);
  });

  test("a failure that the code was rescuing when the run was cancelled is not rescued", async () => {
    const cancel = new AbortController();
    const run = await runTasks(
      async ({ task }) => {
        try {
          await task("a", fail("no"));
        } catch {
          task("repair", shell("echo repairing"));
          await task("more", noop({}));
        }
      },
      cancelAt("repairing", cancel),
    );
    expect(run.ended).toEqual(["failed r a", "changed r repair"]);
    expect(run).toMatchObject({
      cancelled: true,
      failed: true,
      tally: { failed: 1, ignored: 0, rescued: 0, notExecuted: 1 },
    });
  });

  test("code that waits for nothing of the host is waited for until it is killed", async () => {
    const cancel = new AbortController();
    const kill = new AbortController();
    let isOver = false;
    const running = runTasks(
      async ({ task }) => {
        await task("first", noop({}));
        setImmediate(() => cancel.abort());
        await new Promise(() => {});
      },
      { cancel: cancel.signal, kill: kill.signal },
    ).finally(() => {
      isOver = true;
    });
    await until(() => cancel.signal.aborted);
    expect(isOver).toBe(false);
    kill.abort();
    expect(await running).toMatchObject({ cancelled: true });
  });
});
