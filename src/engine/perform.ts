import {
  type ActionCall,
  type ActionContext,
  type Change,
  failureData,
  type Unchanged,
} from "../core/action.ts";
import { serializeError, VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";

/** The result of one action. */
export interface Performed {
  readonly result: Result;
  /** What the action itself says of what it did: not what was foreseen. */
  readonly said?: string;
  /** True when the action may have changed something, even if it failed. */
  readonly applied: boolean;
}

/**
 * Inspect with one action and, except in check mode, apply the change it found. A failure is a Result too. `isReal` says
 * of check mode that the tasks before were carried out: what they have not brought is no unknown, but missing.
 */
export async function performAction(
  call: ActionCall,
  system: System,
  context: ActionContext,
  isReal = false,
): Promise<Performed> {
  let applied = false;
  try {
    const found = await call.inspect(system, context);
    if (found === null) return { result: { state: "unchanged" }, applied };
    if (isUnchanged(found))
      return {
        result: resultOfUnchanged(found),
        applied,
        ...(found.message === undefined ? {} : { said: found.message }),
      };
    const { diff, message, unknown, data } = found;
    const shown = {
      ...(diff === undefined ? {} : { diff: Array.isArray(diff) ? diff : [diff] }),
      ...(message === undefined ? {} : { message }),
    } as Pick<Result, "diff" | "message">;
    if (context.check) {
      // Fails where only the hope for earlier tasks kept it from failing.
      if (isReal && unknown !== undefined) await call.inspect(system, { ...context, check: false });
      const result: Result =
        unknown === undefined
          ? { state: "changed", ...shown, ...(data === undefined ? {} : { data }) }
          : {
              ...{ state: "skipped", unknown: true, ...shown, message: unknown },
              ...(data === undefined ? {} : { data }),
            };
      return { result, applied };
    }
    // An `inspect` that ignored the signal was too late.
    if (context.signal.aborted) throw new VolleyError("CANCELLED", "it was ended before it changed anything");
    applied = true;
    const done = (await call.apply(found, system, context)) ?? {};
    const result: Result = {
      state: done.changed === false ? "unchanged" : "changed",
      ...shown,
      ...(done.message === undefined ? {} : { message: done.message }),
      ...(done.data === undefined ? {} : { data: done.data }),
    };
    return { result, applied, ...(done.message === undefined ? {} : { said: done.message }) };
  } catch (thrown) {
    return { result: resultOfFailure(thrown), applied };
  }
}

/** Do the rest of an action that has restarted the host. */
export async function finishRestarted(
  call: ActionCall,
  system: System,
  context: ActionContext,
  elapsedMs: number,
): Promise<Performed> {
  try {
    const done = (await call.afterRestart?.(system, context, elapsedMs)) ?? {};
    const { message = "the host was restarted", data } = done;
    return {
      result: { state: "changed", message, ...(data === undefined ? {} : { data }) },
      applied: true,
    };
  } catch (thrown) {
    return { result: resultOfFailure(thrown), applied: true };
  }
}

function resultOfFailure(thrown: unknown): Result {
  const data = failureData(thrown);
  return { state: "failed", error: serializeError(thrown), ...(data === undefined ? {} : { data }) };
}

function resultOfUnchanged({ skipped, message, data }: Unchanged<unknown>): Result {
  return {
    state: skipped === true ? "skipped" : "unchanged",
    ...(message === undefined ? {} : { message }),
    ...(data === undefined ? {} : { data }),
  };
}

function isUnchanged(found: Change | Unchanged<unknown>): found is Unchanged<unknown> {
  return "unchanged" in found;
}
