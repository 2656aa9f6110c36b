import { VolleyError } from "../core/errors.ts";
import type { Result, State } from "../core/result.ts";
import type { TaskHandle, TaskResult } from "../core/role.ts";

/**
 * Thrown, in check mode, by whatever asks a result that check mode cannot know. What asked is then unknown too,
 * instead of going on with a guess.
 */
export class UnknownInCheckMode extends Error {
  override readonly name = "UnknownInCheckMode";
}

/** Thrown by awaiting a task that ended its role: it unwinds the role's own code, `finally` blocks included. */
export class RoleStopped extends Error {
  override readonly name = "RoleStopped";
}

type Settled =
  | { readonly kind: "result"; readonly result: Result; readonly ended: boolean }
  /** The role ended before this task's turn. */
  | { readonly kind: "stopped" };

/** The engine's side of a task's handle. */
export interface HandleControl {
  readonly handle: TaskHandle;
  /** The task has run; `ended` says that its failure ended the role. */
  settle(result: Result, ended: boolean): void;
  /** The task will never run. */
  drop(): void;
}

/** Makes the handle that `task()` returns. */
export function createHandle(name: string): HandleControl {
  let settled: Settled | undefined;
  let waiting: (() => void)[] = [];
  const wake = (value: Settled): void => {
    if (settled !== undefined) return;
    settled = value;
    for (const resume of waiting) resume();
    waiting = [];
  };
  const resultNow = (property: string): Result => {
    if (settled === undefined) {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `"${name}" has not run yet: its \`${property}\` is not known`,
        {
          hint: "await the task first, or ask inside a later task's `when: () => …`",
        },
      );
    }
    if (settled.kind === "stopped") throw new RoleStopped();
    if (settled.result.unknown === true)
      throw new UnknownInCheckMode(`depends on "${name}", which check mode cannot know`);
    return settled.result;
  };
  const outcome = (): TaskResult => {
    if (settled?.kind === "result" && settled.ended) throw new RoleStopped();
    return toTaskResult(resultNow("result"));
  };
  const handle: TaskHandle = {
    name,
    get state(): State {
      return resultNow("state").state;
    },
    get changed(): boolean {
      return resultNow("changed").state === "changed";
    },
    get skipped(): boolean {
      return resultNow("skipped").state === "skipped";
    },
    get failed(): boolean {
      return resultNow("failed").state === "failed";
    },
    get data(): unknown {
      return resultNow("data").data;
    },
    // biome-ignore lint/suspicious/noThenProperty: a handle is awaited in roles, and makes a promise only when it is
    then: (onFulfilled, onRejected) =>
      new Promise<TaskResult>((resolve, reject) => {
        const finish = (): void => {
          // An unknown result may be awaited: it is asking it for something that cannot be answered.
          if (settled?.kind === "result" && settled.result.unknown === true)
            resolve(unknownResult(settled.result, handle));
          else {
            try {
              resolve(outcome());
            } catch (thrown) {
              reject(thrown);
            }
          }
        };
        if (settled === undefined) waiting.push(finish);
        else finish();
      }).then(onFulfilled, onRejected),
  };
  return {
    handle,
    settle: (result, ended) => wake({ kind: "result", result, ended }),
    drop: () => wake({ kind: "stopped" }),
  };
}

/** A Result with the questions roles ask of it answered. */
export function toTaskResult(result: Result): TaskResult {
  return {
    ...result,
    // Asked only when it is: what was not kept over a restart says so.
    get data(): unknown {
      return result.data;
    },
    changed: result.state === "changed",
    skipped: result.state === "skipped",
    failed: result.state === "failed",
  };
}

function unknownResult(result: Result, handle: TaskHandle): TaskResult {
  const asked = (property: "data" | "changed" | "skipped" | "failed") => ({
    get: () => handle[property],
    enumerable: true,
  });
  return Object.defineProperties({ ...result } as TaskResult, {
    data: asked("data"),
    changed: asked("changed"),
    skipped: asked("skipped"),
    failed: asked("failed"),
  });
}
