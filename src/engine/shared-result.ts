import { readResult, withoutData } from "../agent/result-store.ts";
import type { Answer } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";

/** What another host came to with a task that is done once, as the role sees it here. */
export function resultFrom({ result, whole, partial }: Answer): Result {
  const { from = "another host", state } = result;
  const found = readResult(whole);
  const seen: Result = { ...(found ?? result), state, from };
  const told = { ...seen, ...errorFrom(seen) };
  if (found !== undefined || partial !== true) return told;
  return withoutData(
    told,
    `what this task found out on ${from} cannot be told here: it is too long, or was lost with the connection`,
    "find out less, or find it out on each host, without `runOnce`",
  );
}

/** The same as it is told of: nothing was done here. */
export function toldFrom(result: Result): Result {
  const { state, from = "another host", ignored } = result;
  if (state !== "failed") return { state: "skipped", from, message: `done once, on ${from}: ${state}` };
  return { state, from, ...errorFrom(result), ...(ignored === undefined ? {} : { ignored }) };
}

/** Its error, saying whose it is. */
function errorFrom({ from = "another host", error }: Result): Pick<Result, "error"> {
  return error === undefined ? {} : { error: { ...error, message: `${from}: ${error.message}` } };
}
