import { VolleyError } from "../core/errors.ts";
import type { Job } from "../core/protocol.ts";
import type { Diff, ItemResult, Result } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import { createMask, type Mask, type MaskStream, maskEvent } from "../vars/mask.ts";
import type { Done } from "./effects.ts";

const MAX_TEXT = 64 << 10;
const MAX_DIFF_TEXT = 128 << 10;
const MAX_ITEMS = 1_000;
/** Levels of nesting; the controller refuses events with more than 100. */
const MAX_DEPTH = 50;

/** A Result as it may be told: masked, with long texts cut and long diffs replaced by the statement that there is one. */
export function tellResult(result: Result, mask: Mask | null, keepDiff: boolean): Result {
  const plain = plainValue(result) as Result;
  // Masked before texts are cut, because half a secret is not found.
  const { data, diff, items, message, ...rest } = mask === null ? plain : maskEvent(mask, plain);
  return {
    ...rest,
    ...(message === undefined ? {} : { message: cut(message, MAX_TEXT) }),
    ...(data === undefined ? {} : { data: boundValue(data) }),
    ...(diff === undefined || !keepDiff ? {} : { diff: diff.map(boundDiff) }),
    ...(items === undefined ? {} : { items: boundValue(items) as readonly ItemResult[] }),
  };
}

/** Whether something changed, which the data of a failed task or item says, and nothing else of the data. */
function changeOnly(result: Pick<Result, "data">): Pick<Result, "data"> {
  // Data that is lost throws where it is asked for, and a copy is without it.
  const { data } = { ...result };
  return isRecord(data) && typeof data.changed === "boolean" ? { data: { changed: data.changed } } : {};
}

/** The Result of a `noLog` task as it may be told: how the task and each pass of its loop ended, and nothing of its output. */
export function hideResult(result: Result): Result {
  const hidden = "hidden: the task is marked noLog";
  return {
    state: result.state,
    hidden: true,
    ...(result.ignored === undefined ? {} : { ignored: result.ignored }),
    ...(result.unknown === undefined ? {} : { unknown: result.unknown }),
    ...(result.attempts === undefined ? {} : { attempts: result.attempts }),
    ...changeOnly(result),
    ...(result.items === undefined
      ? {}
      : {
          items: result.items
            .slice(0, MAX_ITEMS)
            .map((item) => ({ label: "(hidden)", state: item.state, ...changeOnly(item) })),
        }),
    ...(result.error === undefined
      ? { message: hidden }
      : { error: { code: result.error.code, message: `failed; the reason is ${hidden}` } }),
  };
}

/** Any value of a role's code as a JSON value, so that no data of an action can end the run. */
function plainValue(value: unknown, above: readonly unknown[] = []): unknown {
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

function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (${text.length - limit} more characters)`;
}

/** The result of a `runOnce` task that another host did, as the role sees it here. */
export function resultFrom({ result, whole, partial }: Done): Result {
  const { from = "another host", state } = result;
  const seen: Result = { ...(whole ?? result), state, from };
  const told = { ...seen, ...errorFrom(seen) };
  if (whole !== undefined || partial !== true) return told;
  return withoutData(
    told,
    `what this task found out on ${from} cannot be told here: it is too long, lost, or has a worker's secret`,
    "find out less, or find it out on each host, without `runOnce`",
  );
}

/** Return another host's result as this host reports it: skipped, or failed with that host's error. */
export function toldFrom(result: Result): Result {
  const { state, from = "another host", ignored } = result;
  if (state !== "failed") return { state: "skipped", from, message: `done once, on ${from}: ${state}` };
  return { state, from, ...errorFrom(result), ...(ignored === undefined ? {} : { ignored }) };
}

/** The error of a result with the host it happened on. */
function errorFrom({ from = "another host", error }: Result): Pick<Result, "error"> {
  return error === undefined ? {} : { error: { ...error, message: `${from}: ${error.message}` } };
}

/** A Result whose data is lost: code that reads the data gets an error with the reason and the remedy. */
export function withoutData(result: Result, message: string, hint: string): Result {
  const { data: _data, items: _items, ...rest } = result;
  return Object.defineProperty(rest, "data", {
    get: () => {
      throw new VolleyError("PLAYBOOK_INVALID", message, { hint });
    },
  });
}

const masks = new WeakMap<Job, Mask | null>();

/** Secrets of other hosts that came with their results. */
const others = new WeakMap<Job, Set<string>>();

/** The mask of a Job's secrets, made once; null for a Job without secrets. */
export function maskOfJob(job: Job): Mask | null {
  let mask = masks.get(job);
  if (mask === undefined) {
    mask = createMask([...(job.secrets ?? []), ...(others.get(job) ?? [])]);
    masks.set(job, mask);
  }
  return mask;
}

/** Mask these secrets of other hosts, too, from here on. */
export function maskToo(job: Job, secrets: readonly string[]): void {
  const known = others.get(job) ?? new Set();
  const before = known.size;
  for (const secret of secrets) known.add(secret);
  others.set(job, known);
  if (known.size > before) masks.delete(job);
}

/** Mask the secrets that another host's part has masked so far, too: its vars are read. */
export function maskThoseOf(other: Job, job: Job): void {
  maskToo(job, [...(other.secrets ?? []), ...(others.get(other) ?? [])]);
}

/** The output of a task on its way out. */
export interface TaskOutput {
  push(stream: "stdout" | "stderr", text: string): void;
  /** Tell the text that was held back. */
  end(): void;
}

/** Mask the output of a task, each stream on its own; text that may begin a secret waits for the text behind it. */
export function maskOutput(
  mask: Mask | null,
  tell: (stream: "stdout" | "stderr", text: string) => void,
): TaskOutput {
  if (mask === null) return { push: tell, end: () => {} };
  const streams = new Map<"stdout" | "stderr", MaskStream>();
  return {
    push: (stream, text) => {
      let masked = streams.get(stream);
      if (masked === undefined) {
        masked = mask.stream();
        streams.set(stream, masked);
      }
      const shown = masked.push(text);
      if (shown !== "") tell(stream, shown);
    },
    end: () => {
      for (const [stream, masked] of streams) {
        const shown = masked.end();
        if (shown !== "") tell(stream, shown);
      }
    },
  };
}
