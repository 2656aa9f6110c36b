import { sleep } from "../actions/flow/sleep.ts";
import type { ActionContext } from "../core/action.ts";
import type { SerializedError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import type { TaskOptions, TaskResult } from "../core/role.ts";
import { toTaskResult } from "./task-handle.ts";

const DEFAULT_RETRIES = 3;
const DEFAULT_DELAY_S = 5;

/** The options of a task that say how often it is tried. */
export type RetryOptions = Pick<TaskOptions<string, never>, "until" | "retries" | "delay">;

/**
 * Does a task again until its `until` holds or its tries are used up, as Ansible does it: a failed result is one to
 * ask about too, and without `until` it is tried until it does not fail. Check mode tries once: nothing would be different.
 * Once `stop` is aborted it is not tried again, and has failed.
 */
export async function withRetries(
  { until, retries, delay = DEFAULT_DELAY_S }: RetryOptions,
  context: Pick<ActionContext, "check" | "output" | "signal">,
  stop: AbortSignal,
  attempt: () => Promise<Result>,
): Promise<Result> {
  const tries = 1 + Math.max(0, retries ?? (until === undefined ? 0 : DEFAULT_RETRIES));
  if (until === undefined && tries === 1) return attempt();
  const rule = (until ?? (({ failed }: TaskResult) => !failed)) as (result: TaskResult) => boolean;
  if (context.check) return predict(await attempt(), rule);
  for (let attempts = 1; ; attempts++) {
    const result: Result = { ...(await attempt()), attempts };
    if (result.state === "skipped" || holds(rule, result) || context.signal.aborted) return result;
    if (attempts >= tries) return exhausted(result);
    if (stop.aborted) return stopped(result);
    const why = result.error === undefined ? "not yet what is waited for" : result.error.message;
    context.output("stderr", `attempt ${attempts} of ${tries}: ${why}; again in ${delay} s\n`);
    await pauseUnless(stop, delay * 1000, context.signal);
    if (stop.aborted) return stopped(result);
  }
}

/** Waits, but not on once it is to stop. */
async function pauseUnless(stop: AbortSignal, milliseconds: number, signal: AbortSignal): Promise<void> {
  const either = new AbortController();
  const onAbort = (): void => either.abort();
  for (const one of [stop, signal]) one.addEventListener("abort", onAbort, { once: true });
  if (stop.aborted) onAbort();
  try {
    await sleep(milliseconds, either.signal);
  } catch (thrown) {
    if (!stop.aborted) throw thrown;
  } finally {
    for (const one of [stop, signal]) one.removeEventListener("abort", onAbort);
  }
}

function stopped(result: Result): Result {
  const times = `${result.attempts} ${result.attempts === 1 ? "attempt" : "attempts"}`;
  return {
    ...result,
    state: "failed",
    error: { code: "CANCELLED", message: `the run was cancelled; not yet what is waited for after ${times}` },
  };
}

function holds(rule: (result: TaskResult) => boolean, result: Result): boolean {
  try {
    return rule(toTaskResult(result));
  } catch (thrown) {
    // What failed has not the data a rule asks for.
    if (result.state === "failed") return false;
    throw thrown;
  }
}

function predict(result: Result, rule: (result: TaskResult) => boolean): Result {
  // A change that is only predicted has no data to ask about.
  if (result.state === "skipped" || result.state === "changed" || holds(rule, result)) return result;
  return {
    state: "skipped",
    unknown: true,
    message: "whether what it waits for comes about is known only by waiting",
  };
}

function exhausted(result: Result): Result {
  const times = `after ${result.attempts} ${result.attempts === 1 ? "attempt" : "attempts"}`;
  const error: SerializedError =
    result.error === undefined
      ? { code: "ACTION_FAILED", message: `its until condition did not hold ${times}` }
      : { ...result.error, message: `${result.error.message} (${times})` };
  return { ...result, state: "failed", error };
}
