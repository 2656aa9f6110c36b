import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";
import { noteDeadline } from "./limits.ts";
import { createTaskSystem } from "./task-system.ts";

/** How long what a task runs may take to end once it is told to. */
const GRACE_MS = 10_000;

/**
 * Runs a task within a number of seconds: then its signal is aborted, which ends the processes it runs, and it has
 * failed with `TIMEOUT`. What does not heed the signal is left behind after 10 s, cut off from the System: it can do
 * nothing to the machine by it beside the tasks that follow. `kill` aborts the signal too.
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
      timers.push(setTimeout(() => void cutOff().then(() => resolve(failed)), GRACE_MS));
    };
    timers.push(setTimeout(expire, seconds * 1000));
  });
  try {
    const result = await Promise.race([work(limit.signal, system), overdue]);
    return late ? { ...failed, ...(result.data === undefined ? {} : { data: result.data }) } : result;
  } catch (thrown) {
    if (late) return failed;
    throw thrown;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    kill.removeEventListener("abort", end);
  }
}
