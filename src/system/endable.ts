import { Script } from "node:vm";
import { Worker } from "node:worker_threads";
import { VolleyError } from "../core/errors.ts";

/** The global that holds the work of the limited script, which sees nothing else. */
const WORK = Symbol.for("volley.work");
/** Time for a regular expression to block the main thread, in milliseconds, before it moves to a thread of its own. */
const SLICE_MS = 100;
/** The code of the thread that finds all matches in each text. The code is a string because a bundle has no file for it. */
const FINDER =
  'const{parentPort:p,workerData:[r,t]}=require("worker_threads");p.postMessage(t.map(x=>(r.global?[...x.matchAll(r)]:[r.exec(x)].filter(Boolean)).map(m=>(delete m.input,m))))';

/** The share of the outer work's remaining time that inner work gets. */
const INNER_SHARE = 0.75;

let script: Script | undefined;
/** The deadline of the current work, by `performance.now()`. */
let endsAt = Number.POSITIVE_INFINITY;

/**
 * Run synchronous work, and end it when it takes longer than `limitMs`: then fail with the error of `late`. Loops,
 * recursion and regular expressions are ended, whatever the work catches.
 */
export function within<T>(limitMs: number, late: () => VolleyError, work: () => T): T {
  const given = globalThis as unknown as { [WORK]?: unknown };
  const outer = given[WORK];
  const outerEndsAt = endsAt;
  const now = performance.now();
  // V8 runs no `finally` of ended work. So inner work is ended first, and the work around it sees an error.
  endsAt = now + Math.min(limitMs, (outerEndsAt - now) * INNER_SHARE);
  let result!: T;
  given[WORK] = () => {
    result = work();
  };
  script ??= new Script('globalThis[Symbol.for("volley.work")]()');
  try {
    script.runInThisContext({ timeout: Math.max(1, Math.floor(endsAt - now)) });
    return result;
  } catch (thrown) {
    if ((thrown as { readonly code?: unknown } | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") throw late();
    throw thrown;
  } finally {
    given[WORK] = outer;
    endsAt = outerEndsAt;
  }
}

/**
 * Find the matches of a regular expression in each text: all of a global one, else at most one. A slow expression moves
 * to a thread of its own, which the signal ends. Fails with `CANCELLED`.
 */
export async function findMatches(
  regex: RegExp,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly RegExpExecArray[])[]> {
  const find = (text: string): readonly RegExpExecArray[] => {
    if (regex.global) return [...text.matchAll(regex)];
    const match = regex.exec(text);
    return match === null ? [] : [match];
  };
  const late = new VolleyError("TIMEOUT", "");
  try {
    return within(
      SLICE_MS,
      () => late,
      () => texts.map(find),
    );
  } catch (thrown) {
    if (thrown !== late) throw thrown;
    return findInThread(regex, texts, signal);
  }
}

async function findInThread(
  regex: RegExp,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly RegExpExecArray[])[]> {
  const cancelled = (): VolleyError =>
    new VolleyError("CANCELLED", "a regular expression that went on and on was cancelled", {
      hint: "one such as (a+)+ tries every way to split a text: write it so that there is only one",
    });
  if (signal.aborted) throw cancelled();
  const worker = new Worker(FINDER, { eval: true, workerData: [regex, texts] });
  let onAbort = (): void => {};
  try {
    return await new Promise((resolve, reject) => {
      onAbort = () => reject(cancelled());
      signal.addEventListener("abort", onAbort, { once: true });
      worker.once("message", (found: RegExpExecArray[][]) => {
        // The copy of the groups has a prototype; a group's name must not be found there.
        for (const match of found.flat())
          if (match.groups !== undefined) Object.setPrototypeOf(match.groups, null);
        resolve(found);
      });
      worker.once("error", reject);
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    await worker.terminate();
  }
}
