import type { Diff, ItemResult, Result } from "../core/result.ts";

const MAX_TEXT = 64 << 10;
const MAX_DIFF_TEXT = 128 << 10;
const MAX_ITEMS = 1_000;

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;
}

/** A copy of a JSON value with every long text in it cut. */
function boundValue(value: unknown): unknown {
  if (typeof value === "string") return cut(value, MAX_TEXT);
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map(boundValue);
  if (typeof value === "object" && value !== null) {
    if (value instanceof Uint8Array) return `<${value.length} bytes>`;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, boundValue(inner)]));
  }
  return typeof value === "bigint" ? String(value) : value;
}

function boundDiff(diff: Diff): Diff {
  const length = (diff.before?.length ?? 0) + (diff.after?.length ?? 0);
  if (length <= MAX_DIFF_TEXT) return diff;
  const { before: _before, after: _after, ...rest } = diff;
  return { ...rest, binary: true };
}

/** A Result small enough to be sent: long texts are cut, long diffs become a mere statement that there is one. */
export function boundResult(result: Result, keepDiff: boolean): Result {
  const { data, diff, items, message, ...rest } = result;
  return {
    ...rest,
    ...(message === undefined ? {} : { message: cut(message, MAX_TEXT) }),
    ...(data === undefined ? {} : { data: boundValue(data) }),
    ...(diff === undefined || !keepDiff ? {} : { diff: diff.map(boundDiff) }),
    ...(items === undefined ? {} : { items: boundValue(items) as readonly ItemResult[] }),
  };
}

/** A Result that says how a task ended and nothing of what it saw. */
export function hideResult(result: Result): Result {
  const hidden = "hidden: the task is marked noLog";
  return {
    state: result.state,
    hidden: true,
    ...(result.ignored === undefined ? {} : { ignored: result.ignored }),
    ...(result.unknown === undefined ? {} : { unknown: result.unknown }),
    ...(result.error === undefined
      ? { message: hidden }
      : { error: { code: result.error.code, message: `failed; the reason is ${hidden}` } }),
  };
}
