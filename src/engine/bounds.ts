import { isRecord } from "../core/json.ts";
import type { Mask } from "../core/mask.ts";
import { maskEvent } from "../core/mask-event.ts";
import type { Diff, ItemResult, Result } from "../core/result.ts";

const MAX_TEXT = 64 << 10;
const MAX_DIFF_TEXT = 128 << 10;
const MAX_ITEMS = 1_000;
/** Of what is nested; the controller takes no event that is nested deeper than 100 levels. */
const MAX_DEPTH = 50;

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;
}

/** A value of a role's code as JSON can tell it, whatever it is: nothing an action gives may end the run. */
export function plainValue(value: unknown, above: readonly unknown[] = []): unknown {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (above.includes(value)) return "(itself again)";
  if (above.length === MAX_DEPTH) return "(nested too deep to be told)";
  const plain = (inner: unknown): unknown => plainValue(inner, [...above, value]);
  try {
    if (Array.isArray(value) || value instanceof Set) return Array.from(value, plain);
    const { toJSON } = value as { readonly toJSON?: unknown };
    if (typeof toJSON === "function") return plain(toJSON.call(value));
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    return Object.fromEntries(
      entries.flatMap(([key, inner]) => (inner === undefined ? [] : [[String(key), plain(inner)]])),
    );
  } catch (thrown) {
    return `(cannot be told: ${String(thrown)})`;
  }
}

/** A copy of a JSON value with every long text in it cut. */
function boundValue(value: unknown): unknown {
  if (typeof value === "string") return cut(value, MAX_TEXT);
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map(boundValue);
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, boundValue(inner)]));
}

function boundDiff(diff: Diff): Diff {
  const length = (diff.before?.length ?? 0) + (diff.after?.length ?? 0);
  if (length <= MAX_DIFF_TEXT) return diff;
  const { before: _before, after: _after, ...rest } = diff;
  return { ...rest, binary: true };
}

/** A Result as it may be told: masked, long texts cut, and long diffs a mere statement that there is one. */
export function tellResult(result: Result, mask: Mask | null, keepDiff: boolean): Result {
  const plain = plainValue(result) as Result;
  // Before texts are cut: half a secret is not found.
  const { data, diff, items, message, ...rest } = mask === null ? plain : maskEvent(mask, plain);
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
