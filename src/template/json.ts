import { parseJson as parse, writeJson } from "../core/json-text.ts";
import { fail, failUndefined } from "./errors.ts";
import { order } from "./operators.ts";
import { Attributes, str, Undefined } from "./values.ts";

/** How {@link dumpJson} writes; the names are those of Python's `json.dumps`. */
export interface JsonOptions {
  /** The margin of each level; null writes one line. */
  readonly indent: string | null;
  readonly sortKeys: boolean;
  readonly ensureAscii: boolean;
  /** Between items, and between key and value. */
  readonly separators: readonly [item: string, key: string];
}

function other(value: unknown): string {
  if (value instanceof Undefined) return failUndefined(value);
  return value instanceof Attributes ? str(value) : fail(`${str(value)} is not JSON serializable`);
}

/** A value as JSON, byte for byte as Python's `json.dumps` writes it; fails on undefined, and on keys that cannot be sorted. */
export function dumpJson(value: unknown, { sortKeys, ...style }: JsonOptions): string {
  return writeJson(value, { ...style, other, ...(sortKeys ? { compareKeys: order } : {}) });
}

/** Reads JSON, telling `1.0` from `1`; fails on what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    return fail(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
