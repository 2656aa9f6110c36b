import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { stat } from "../../src/actions/files/stat.ts";
import { fail } from "../../src/actions/flow/fail.ts";
import { noop } from "../../src/actions/flow/noop.ts";
import { wait_for } from "../../src/actions/flow/wait-for.ts";
import { command, shell } from "../../src/actions/system/command.ts";
import { makeWorkplace, runTasks, type Workplace } from "./run-plays.ts";

/** A command that says how often it has been run. */
function counting(place: Workplace, then = "") {
  const path = place.path("count");
  writeFileSync(path, "");
  return shell(`echo x >> ${path}; wc -l < ${path}; ${then}`);
}

const count = (place: Workplace): number => readFileSync(place.path("count"), "utf8").length / 2;

test("a task is done again until its condition holds", async () => {
  using place = makeWorkplace();
  const run = await runTasks(async ({ task, log }) => {
    const tried = await task("t", counting(place), {
      until: ({ data }) => data.stdout === "3",
      retries: 5,
      delay: 0,
    });
    log(`${tried.attempts} ${tried.data.stdout}`);
  });
  expect(run.task("t")).toMatchObject({ state: "changed", attempts: 3 });
  expect(run.of("log")[0]?.text).toBe("3 3");
  expect(run.tally).toMatchObject({ changed: 1, failed: 0 });
  const told = run.of("task:output").map(({ text }) => text);
  expect(told.join("")).toContain("attempt 1 of 6: not yet what is waited for; again in 0 s\n");
});

test("it fails once its tries are used up, with what it last found", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("t", counting(place), { until: () => false, delay: 0 });
    task("never", noop({}));
  });
  expect(run.ended).toEqual(["failed r t"]);
  expect(run.task("t")).toMatchObject({
    attempts: 4,
    data: { stdout: "4" },
    error: { code: "ACTION_FAILED", message: "its until condition did not hold after 4 attempts" },
  });
  expect(count(place)).toBe(4);
});

test("a failed result is tried again too, and may be asked about", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("t", counting(place, `test $(wc -l < ${place.path("count")}) -ge 3`), {
      until: ({ failed }) => !failed,
      delay: 0,
    });
    task("holds though it failed", command("false"), { until: ({ data }) => data.rc === 1, delay: 0 });
  });
  expect(run.task("t")).toMatchObject({ state: "changed", attempts: 3 });
  expect(run.task("holds though it failed")).toMatchObject({ state: "failed", attempts: 1 });
});

test("a condition that asks what a failure has not is one that does not hold", async () => {
  const run = await runTasks(({ task }) => {
    task("t", fail("no"), {
      until: ({ data }) => (data as unknown as { list: string[] }).list.length > 0,
      retries: 1,
      delay: 0,
    });
    task("never", noop({}));
  });
  expect(run.task("t")).toMatchObject({ attempts: 2, error: { message: "no (after 2 attempts)" } });
});

test("a condition that throws fails its task at once", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("t", counting(place), {
      until: () => {
        throw new Error("broken question");
      },
      delay: 0,
    });
  });
  expect(run.task("t").error?.message).toBe("broken question");
  expect(count(place)).toBe(1);
});

test("retries alone try again as long as the task fails", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("works", counting(place), { retries: 3, delay: 0 });
    task("does not", fail("no"), { retries: 2, delay: 0, ignoreErrors: true });
    task("once", fail("no"), { retries: 0 });
  });
  expect(run.task("works")).toMatchObject({ state: "changed", attempts: 1 });
  expect(run.task("does not")).toMatchObject({ ignored: true, attempts: 3 });
  expect(run.task("once").error?.message).toBe("no");
  expect(count(place)).toBe(1);
});

test("failedWhen is asked at every try", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("t", counting(place), { failedWhen: ({ data }) => data.stdout !== "2", retries: 3, delay: 0 });
  });
  expect(run.task("t")).toMatchObject({ state: "changed", attempts: 2 });
});

test("every item of a loop has its own tries, and a skipped one none", async () => {
  using place = makeWorkplace();
  const path = (name: string): string => place.path(name);
  const run = await runTasks(({ task }) => {
    task("t", (name: string) => shell(`echo x >> ${path(name)}; wc -l < ${path(name)}`), {
      loop: ["a", "b", "c"],
      when: (name) => name !== "c",
      until: ({ data }) => data.stdout === "2",
      delay: 0,
    });
  });
  expect(run.task("t").items).toMatchObject([
    { label: "a", attempts: 2 },
    { label: "b", attempts: 2 },
    { label: "c", state: "skipped" },
  ]);
  expect(existsSync(path("c"))).toBe(false);
});

test("noLog keeps the tries to itself", async () => {
  const run = await runTasks(({ task }) => {
    task("t", fail("secret"), { retries: 1, delay: 0, noLog: true });
  });
  expect(JSON.stringify(run.events)).not.toContain("secret");
});

test("check mode looks once: what is not so yet is unknown", async () => {
  using place = makeWorkplace();
  appendFileSync(place.path("there"), "");
  const run = await runTasks(
    ({ task }) => {
      task("there", stat({ path: place.path("there") }), { until: ({ data }) => data.stat.exists });
      task("not yet", stat({ path: place.path("missing") }), { until: ({ data }) => data.stat.exists });
      task("a change", noop({ changed: true }), { until: ({ failed }) => failed });
    },
    { options: { check: true } },
  );
  expect(run.ended).toEqual(["unchanged r there", "unknown r not yet", "changed r a change"]);
});

test("a task that takes longer than its timeout is ended, and fails", async () => {
  using place = makeWorkplace();
  const run = await runTasks(({ task }) => {
    task("t", shell(`sleep 60; touch ${place.path("done")}`), { timeout: 0.2, ignoreErrors: true });
    task("waits", wait_for({ path: place.path("never") }), { timeout: 0.1, ignoreErrors: true });
    task("in time", noop({}), { timeout: 60 });
  });
  expect(run.ended).toEqual(["failed r t", "failed r waits", "unchanged r in time"]);
  expect(run.task("t").error).toMatchObject({
    code: "TIMEOUT",
    message: "the task took longer than 0.2 s",
  });
  expect(run.task("waits").error?.code).toBe("TIMEOUT");
  expect(existsSync(place.path("done"))).toBe(false);
});

test("a timeout is for all tries and all items together", async () => {
  const run = await runTasks(({ task }) => {
    task("tries", fail("no"), { retries: 1000, delay: 0.05, timeout: 0.2, ignoreErrors: true });
    task("items", (seconds: number) => shell(`sleep ${seconds}`), { loop: [0, 60, 60], timeout: 0.2 });
  });
  expect(run.task("tries").error?.code).toBe("TIMEOUT");
  expect(run.task("items").error?.code).toBe("TIMEOUT");
});

test("a task is not tried again once the run is to stop, however long it would wait", async () => {
  for (const when of ["while it waits", "during an attempt"]) {
    const stop = new AbortController();
    const said = when === "while it waits" ? "attempt 1" : "trying";
    const run = await runTasks(
      ({ task }) => {
        task("t", shell("echo trying"), { until: () => false, retries: 1_000, delay: 3_600 });
        task("never", noop({}));
      },
      {
        cancel: stop.signal,
        onEvent: (event) => {
          if (event.type === "task:output" && event.text.includes(said)) stop.abort();
        },
      },
    );
    expect(run.task("t"), when).toMatchObject({
      state: "failed",
      attempts: 1,
      error: {
        code: "CANCELLED",
        message: "the run was cancelled; not yet what is waited for after 1 attempt",
      },
    });
    expect(run.cancelled).toBe(true);
    expect(run.tally).toMatchObject({ failed: 1, notExecuted: 1 });
  }
});

test("a task that is waiting to be tried again ends with the run", async () => {
  const stop = new AbortController();
  const kill = new AbortController();
  const run = await runTasks(({ task }) => void task("t", fail("no"), { retries: 1, delay: 60 }), {
    cancel: stop.signal,
    kill: kill.signal,
    onEvent: ({ type }) => {
      if (type !== "task:output") return;
      stop.abort();
      kill.abort();
    },
  });
  expect(run.task("t").error?.code).toBe("CANCELLED");
});

test("a task whose tries the cancel cuts short comes back as the cancel, not as a failure to rescue", async () => {
  const stop = new AbortController();
  const caught: unknown[] = [];
  const run = await runTasks(
    async ({ task }) => {
      try {
        await task("t", fail("no"), { retries: 1_000, delay: 3_600 });
      } catch (error) {
        caught.push(error);
      }
    },
    {
      cancel: stop.signal,
      onEvent: ({ type }) => {
        if (type === "task:output") stop.abort();
      },
    },
  );
  expect(caught).toMatchObject([
    { name: "VolleyError", code: "CANCELLED", message: "the run was cancelled" },
  ]);
  expect(run.cancelled).toBe(true);
  expect(run.tally).toMatchObject({ failed: 1 });
  expect(run.of("task:rescued")).toEqual([]);
});
