import { VolleyError } from "../core/errors.ts";
import { MAX_TIMER_SECONDS } from "../core/options.ts";
import type { Result } from "../core/result.ts";
import { type Content, type ProcessOptions, SYSTEM_CALLS, type System } from "../core/system.ts";
import { within } from "../system/endable.ts";

/** Time limit of a template, in milliseconds. Rendering blocks the process: even the end of the run must wait. */
export const RENDER_MS = 10_000;
/** The same in a process that serves other hosts too. */
export const RENDER_BESIDE_OTHERS_MS = 3_000;
/** Time for a condition to run before its first wait, in milliseconds. */
const CONDITION_MS = 10_000;
/** Time for the processes of a task to end after a signal to do so, in milliseconds. */
const GRACE_MS = 10_000;
/** Time to wait for a process to be gone, in milliseconds. SIGKILL follows 5 s after the first signal; a process that the kernel keeps for longer can do nothing any more. */
const GONE_MS = 10_000;

/** Render within a time. Fails with `TIMEOUT`. */
export function renderWithin<T>(limitMs: number, what: string, render: () => T): T {
  const began = performance.now();
  // The deadline of the task may come before the limit.
  const late = (): VolleyError =>
    new VolleyError(
      "TIMEOUT",
      `${what} was still being rendered after ${inSeconds(performance.now() - began)}`,
      {
        hint: "a loop, a macro that calls itself or a regular expression in it does not come to an end",
      },
    );
  return within(limitMs, late, render);
}

/** Return whether a text may take long to render, because it loops, calls or filters. */
export function mayTakeLong(text: string): boolean {
  return /\{%|[|(]/.test(text);
}

/** Call a function of the playbook's, until the signal's deadline at the latest. Fails with `TIMEOUT`. */
export function askWithin<T>(what: string, signal: AbortSignal, condition: () => T): T {
  const limitMs = Math.min(CONDITION_MS, leftUntil(signal));
  const late = (): VolleyError =>
    new VolleyError("TIMEOUT", `${what} did not answer within ${inSeconds(limitMs)}`);
  return within(limitMs, late, condition);
}

function inSeconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 100) / 10} s`;
}

const deadlines = new WeakMap<AbortSignal, number>();

/** Milliseconds left until a signal is aborted; infinite for a signal without a deadline. */
export function leftUntil(signal: AbortSignal): number {
  const at = deadlines.get(signal);
  return at === undefined ? Number.POSITIVE_INFINITY : Math.max(1, at - performance.now());
}

/** Work with a signal that is aborted as soon as one of these is. */
export async function withEither<T>(
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const either = new AbortController();
  const onAbort = (): void => either.abort();
  for (const signal of signals) {
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
  }
  try {
    return await work(either.signal);
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", onAbort);
  }
}

/**
 * Run a task within a number of seconds: then its signal is aborted, which ends its processes, and the task has failed
 * with `TIMEOUT`. An action that ignores the signal is left behind after 10 s, cut off from the System: it can do nothing
 * to the machine beside the tasks that follow. `kill` aborts the signal too.
 */
export async function withTimeLimit(
  seconds: number | undefined,
  kill: AbortSignal,
  own: System,
  work: (signal: AbortSignal, system: System) => Promise<Result>,
): Promise<Result> {
  if (seconds === undefined) return work(kill, createTaskSystem(own, kill).system);
  const limit = new AbortController();
  const { system, cutOff } = createTaskSystem(own, limit.signal);
  deadlines.set(limit.signal, performance.now() + seconds * 1000);
  const end = (): void => limit.abort();
  if (kill.aborted) end();
  kill.addEventListener("abort", end, { once: true });
  const timers: NodeJS.Timeout[] = [];
  let isLate = false;
  const failed: Result = {
    state: "failed",
    error: { code: "TIMEOUT", message: `the task took longer than ${seconds} s` },
  };
  const overdue = new Promise<Result>((resolve) => {
    const expire = (): void => {
      isLate = true;
      end();
      timers.push(setTimeout(() => void cutOff().then(() => resolve(failed)), GRACE_MS));
    };
    timers.push(setTimeout(expire, Math.min(seconds, MAX_TIMER_SECONDS) * 1000));
  });
  try {
    const result = await Promise.race([work(limit.signal, system), overdue]);
    return isLate ? { ...failed, ...(result.data === undefined ? {} : { data: result.data }) } : result;
  } catch (thrown) {
    if (isLate) return failed;
    throw thrown;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    kill.removeEventListener("abort", end);
  }
}

/** A System as one task has it. */
interface TaskSystem {
  /** Its processes end with the task's signal, whether the action passes the signal on or not. */
  readonly system: System;
  /** End all calls; every further call fails with `CANCELLED`. Resolves once no call goes on, after 10 s at the latest. */
  cutOff(): Promise<void>;
}

/** Make a task's System from the System of its user. */
function createTaskSystem(own: System, signal: AbortSignal): TaskSystem {
  const cut = new AbortController();
  const going = new Set<Promise<unknown>>();
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    if (cut.signal.aborted) throw tooLate();
    const doing = work();
    going.add(doing);
    try {
      return await doing;
    } finally {
      going.delete(doing);
    }
  };

  const runs =
    (name: "run" | "query"): System["run"] =>
    (argv, options = {}) =>
      call(() => {
        // An action that tidies up after its signal was aborted has until it is cut off.
        const ends = [cut.signal, ...(signal.aborted ? [] : [signal])];
        return withEither([...ends, ...(options.signal === undefined ? [] : [options.signal])], (either) =>
          own[name](argv, { ...options, signal: either } satisfies ProcessOptions),
        );
      });
  const broken = new Promise<never>((_, reject) => {
    cut.signal.addEventListener("abort", () => reject(tooLate()), { once: true });
  });
  broken.catch(() => {});
  /** Content that breaks off when the task is cut off, even while its next piece is waited for. */
  const pieces = async function* (content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = content[Symbol.asyncIterator]();
    let isDone = false;
    try {
      for (;;) {
        const { done, value } = await Promise.race([iterator.next(), broken]);
        isDone = done === true;
        if (isDone) return;
        yield value as Uint8Array;
      }
    } finally {
      if (!isDone) iterator.return?.().catch(() => {});
    }
  };

  const methods = Object.fromEntries(
    SYSTEM_CALLS.map((name) => [
      name,
      (...args: readonly unknown[]) =>
        call(() => (own[name] as (...given: readonly unknown[]) => Promise<unknown>)(...args)),
    ]),
  );
  const system = {
    ...methods,
    ...(own.dial === undefined
      ? {}
      : { dial: (host: string, port: number) => call(() => own.dial!(host, port)) }),
    ...(own.pipe === undefined
      ? {}
      : { pipe: (...given: Parameters<NonNullable<System["pipe"]>>) => call(() => own.pipe!(...given)) }),
    run: runs("run"),
    query: runs("query"),
    writeFile: (path: string, content: Content, ...rest: readonly [Parameters<System["writeFile"]>[2]?]) =>
      call(() =>
        own.writeFile(
          path,
          typeof content === "object" && Symbol.asyncIterator in content ? pieces(content) : content,
          ...rest,
        ),
      ),
    get uid() {
      return own.uid;
    },
    get gid() {
      return own.gid;
    },
  } as unknown as System;
  return {
    system,
    cutOff: async () => {
      cut.abort();
      let timer: NodeJS.Timeout | undefined;
      const given = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, GONE_MS);
      });
      await Promise.race([Promise.allSettled(going), given]);
      clearTimeout(timer);
    },
  };
}

function tooLate(): VolleyError {
  return new VolleyError("CANCELLED", "the task's time is over");
}
