import { Script } from "node:vm";
import { Worker } from "node:worker_threads";
import { VolleyError } from "../core/errors.ts";

/** What is given to the script that is run under a limit; it has no other way to get at anything. */
const WORK = Symbol.for("volley.work");
/** How long an expression may keep the only thread, in milliseconds, before it goes on in a thread of its own. */
const SLICE_MS = 100;
/** Finds all matches in each text; it is a thread of its own, which has no file in a bundle. */
const FINDER =
  'const{parentPort:p,workerData:[r,t]}=require("worker_threads");p.postMessage(t.map(x=>(r.global?[...x.matchAll(r)]:[r.exec(x)].filter(Boolean)).map(m=>(delete m.input,m))))';

/** Inner work gets so much of the time that is left to what it is part of. */
const INNER_SHARE = 0.75;

let script: Script | undefined;
/** When the work now going on is ended, by `performance.now()`. */
let endsAt = Number.POSITIVE_INFINITY;

/**
 * Does work that does not wait for anything, and ends it when it takes longer than a number of milliseconds: then it
 * fails with what `late` makes. Loops, recursion and regular expressions are ended, whatever the work catches.
 */
export function within<T>(limitMs: number, late: () => VolleyError, work: () => T): T {
  const given = globalThis as unknown as { [WORK]?: unknown };
  const outer = given[WORK];
  const outerEndsAt = endsAt;
  const now = performance.now();
  // What is ended this way runs no `finally`: the innermost is ended first, and what is around it sees an error.
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
 * What an expression matches in each of some texts: everything where it is global, else at most once. An expression
 * that takes its time does so in a thread of its own, which the signal ends. Fails with `CANCELLED`.
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
    return findElsewhere(regex, texts, signal);
  }
}

async function findElsewhere(
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
        // A copy of the groups has a prototype, which a name must not be found in.
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
