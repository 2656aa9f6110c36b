import { type ActionCall, type ActionContext, type Change, failureData, type Unchanged } from "../core/action.ts";
import { serializeError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";

function isUnchanged(found: Change | Unchanged<unknown>): found is Unchanged<unknown> {
  return "unchanged" in found;
}

/** Inspects one action and, unless in check mode, applies what was found; a failure is a Result too. */
export async function performAction(call: ActionCall, system: System, context: ActionContext): Promise<Result> {
  let found: Change | Unchanged<unknown> | null;
  try {
    found = await call.inspect(system, context);
    if (found === null) return { state: "unchanged" };
    if (isUnchanged(found)) {
      return {
        state: found.skipped === true ? "skipped" : "unchanged",
        ...(found.message === undefined ? {} : { message: found.message }),
        ...(found.data === undefined ? {} : { data: found.data }),
      };
    }
    const { diff, message, unknown } = found;
    const shown = {
      ...(diff === undefined ? {} : { diff: Array.isArray(diff) ? diff : [diff] }),
      ...(message === undefined ? {} : { message }),
    } as Pick<Result, "diff" | "message">;
    if (context.check) {
      return unknown === undefined
        ? { state: "changed", ...shown }
        : { state: "skipped", unknown: true, ...shown, message: unknown };
    }
    const applied = (await call.apply(found, system, context)) ?? {};
    return {
      state: applied.changed === false ? "unchanged" : "changed",
      ...shown,
      ...(applied.message === undefined ? {} : { message: applied.message }),
      ...(applied.data === undefined ? {} : { data: applied.data }),
    };
  } catch (thrown) {
    const data = failureData(thrown);
    return { state: "failed", error: serializeError(thrown), ...(data === undefined ? {} : { data }) };
  }
}
