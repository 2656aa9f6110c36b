import type { Result } from "../core/result.ts";
import { noteDeadline } from "./limits.ts";

/** How long what a task runs may take to end once it is told to. */
const GRACE_MS = 10_000;

/**
 * Runs a task within a number of seconds: then its signal is aborted, which ends the processes it runs, and it has
 * failed with `TIMEOUT`. What does not heed the signal is left behind. `kill` aborts it too.
 */
export async function withTimeLimit(
  seconds: number | undefined,
  kill: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (seconds === undefined) return work(kill);
  const limit = new AbortController();
  noteDeadline(limit.signal, seconds * 1000);
  const end = (): void => limit.abort();
  if (kill.aborted) end();
  kill.addEventListener("abort", end, { once: true });
  const timers: NodeJS.Timeout[] = [];
  let late = false;
  const failed: Result = {
    state: "failed",
    error: { code: "TIMEOUT", message: `the task took longer than ${seconds} s` },
  };
  const overdue = new Promise<Result>((resolve) => {
    const expire = (): void => {
      late = true;
      end();
      timers.push(setTimeout(() => resolve(failed), GRACE_MS));
    };
    timers.push(setTimeout(expire, seconds * 1000));
  });
  try {
    const result = await Promise.race([work(limit.signal), overdue]);
    return late ? { ...failed, ...(result.data === undefined ? {} : { data: result.data }) } : result;
  } catch (thrown) {
    if (late) return failed;
    throw thrown;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    kill.removeEventListener("abort", end);
  }
}
