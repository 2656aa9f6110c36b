import { VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";

/** What masked text looks like: data that holds some cannot stand for the real one. */
const MASK = "********";

/** What another host came to with a task that is done once, as the role sees it here. */
export function resultFrom(result: Result): Result {
  const { from = "another host", error } = result;
  const told: Result =
    error === undefined ? result : { ...result, error: { ...error, message: `${from}: ${error.message}` } };
  if (result.hidden !== true && !JSON.stringify(result).includes(MASK)) return told;
  const { data: _data, items: _items, ...rest } = told;
  return Object.defineProperty(rest, "data", {
    get: () => {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `what this task found out on ${from} is secret, and was not told here`,
        { hint: "find it out on each host, without `runOnce`" },
      );
    },
  });
}

/** The same as it is told of: nothing was done here. */
export function toldFrom({ state, from = "another host", error, ignored }: Result): Result {
  if (state !== "failed") return { state: "skipped", from, message: `done once, on ${from}: ${state}` };
  return {
    state,
    from,
    ...(error === undefined ? {} : { error }),
    ...(ignored === undefined ? {} : { ignored }),
  };
}
