import { existsSync, readFileSync } from "node:fs";
import { strictObject } from "valibot";
import { describe, expect, it } from "vitest";
import { defineAction } from "../../src/actions/define.ts";
import { shell } from "../../src/actions/system/command.ts";
import type { ActionContext } from "../../src/core/action.ts";
import type { System } from "../../src/core/system.ts";
import { PATIENT, underLimit } from "../lib/patience.ts";
import { makeWorkplace, runTasks } from "./run-plays.ts";

/** An action of a user's own. */
const own = (apply: (system: System, context: ActionContext) => Promise<void>) =>
  defineAction({
    name: "own",
    doc: "Does as it is told.",
    params: strictObject({}),
    inspect: async () => ({}),
    apply: (_change, _params, system, context) => apply(system, context),
  })({});

/** Says which of the processes in a file are gone; a zombie is. */
const tellGone = (file: string) =>
  shell(
    `for p in $(cat ${file}); do grep -qs '^State:.[^Z]' /proc/$p/status && echo there || echo gone; done`,
  );

it("a limit longer than any timer of Node's is none", async () => {
  const run = await runTasks(({ task }) => {
    task("patient", shell("sleep 0.1"), { timeout: 1e8 });
  });
  expect(run.task("patient").state).toBe("changed");
});

describe.concurrent("a task whose time is up does nothing beside its successors", () => {
  it("a process that its action did not bind to the task's signal is ended", async () => {
    using place = makeWorkplace();
    const pids = place.path("pids");
    const run = await underLimit(1, async (timeout) => {
      const tried = await runTasks(({ task }) => {
        task(
          "late",
          own(async (system) => void (await system.run(["sh", "-c", `echo $$ >${pids}; exec sleep 600`]))),
          { timeout, ignoreErrors: true },
        );
        task("next", tellGone(pids));
      });
      return existsSync(pids) ? tried : undefined;
    });
    expect(run.task("late").error).toMatchObject({ code: "TIMEOUT" });
    expect(run.task("next").data).toMatchObject({ stdout: "gone" });
  });

  it(
    "of a group whose first process ends, the others are killed before the next begins",
    PATIENT,
    async () => {
      using place = makeWorkplace();
      const pids = place.path("pids");
      const stubborn = `sh -c 'trap "" TERM; echo $$ >${pids}; while :; do sleep 0.1; done' >/dev/null 2>&1`;
      const run = await underLimit(1, async (timeout) => {
        const tried = await runTasks(({ task }) => {
          task("late", shell(`${stubborn} & wait`), { timeout, ignoreErrors: true });
          task("next", tellGone(pids));
        });
        return existsSync(pids) ? tried : undefined;
      });
      expect(run.task("late").error).toMatchObject({ code: "TIMEOUT" });
      expect(run.task("next").data).toMatchObject({ stdout: "gone" });
    },
  );

  it("an action that ignores the signal is cut off from its System, and tells nothing", async () => {
    using place = makeWorkplace();
    const [written, piped, kept, begun] = ["written", "piped", "kept", "begun"].map(place.path);
    let nextRuns = (): void => {};
    const next = new Promise<void>((resolve) => {
      nextRuns = resolve;
    });
    let isLeft = (_codes: readonly unknown[]): void => {};
    const left = new Promise<readonly unknown[]>((resolve) => {
      isLeft = resolve;
    });
    const run = await runTasks(({ task }) => {
      task("before", shell(`touch ${kept}`));
      task(
        "late",
        own(async (system, context) => {
          const content = async function* (): AsyncGenerator<Uint8Array> {
            yield Buffer.from("a");
            await next;
            yield Buffer.from("b");
          };
          const writing = system.writeFile(piped!, content());
          await next;
          context.output("stdout", "from the past\n");
          const ends = await Promise.allSettled([
            writing,
            system.writeFile(written!, "late"),
            system.remove(kept!),
            system.run(["touch", begun!]),
            system.stat(kept!),
          ]);
          isLeft(ends.map((end) => (end.status === "rejected" ? end.reason.code : end.value)));
        }),
        { timeout: 3, ignoreErrors: true },
      );
      task(
        "next",
        own(async (system) => {
          nextRuns();
          await left;
          await system.writeFile(written!, "next");
        }),
      );
    });
    expect(await left).toEqual(Array(5).fill("CANCELLED"));
    expect(run.task("late").error).toMatchObject({ code: "TIMEOUT" });
    expect(run.task("next").state).toBe("changed");
    expect(readFileSync(written!, "utf8")).toBe("next");
    expect([kept, piped, begun].map((path) => existsSync(path!))).toEqual([true, false, false]);
    expect(JSON.stringify(run.events)).not.toContain("from the past");
  });

  it("what looks for too long changes nothing afterwards", async () => {
    let changed = false;
    const run = await runTasks(({ task }) => {
      const call = own(async () => {
        changed = true;
      });
      const inspect = async (_system: unknown, { signal }: ActionContext): Promise<object> => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        return {};
      };
      task("late", { ...call, inspect }, { timeout: 0.2, ignoreErrors: true });
    });
    expect(run.task("late").error).toMatchObject({ code: "TIMEOUT" });
    expect(changed).toBe(false);
  });
});
