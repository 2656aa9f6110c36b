import { fail, failUndefined } from "./errors.ts";
import { str } from "./repr.ts";
import { Attributes, dictEntries, Float, isDict, isList, Undefined } from "./values.ts";

/** How {@link dumpJson} writes; the names are those of Python's `json.dumps`. */
export interface JsonOptions {
  /** The margin of each level; null writes one line. */
  readonly indent: string | null;
  readonly sortKeys: boolean;
  readonly ensureAscii: boolean;
  /** Between items, and between key and value. */
  readonly separators: readonly [item: string, key: string];
}

function quote(text: string, ensureAscii: boolean): string {
  const quoted = JSON.stringify(text);
  if (!ensureAscii) return quoted;
  return quoted.replace(/[\x7f-\uffff]/g, (char) =>
    char === "\x7f" ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function keyText(key: unknown): string {
  if (key === null) return "null";
  if (typeof key === "boolean") return String(key);
  return str(key);
}

/** A value as JSON, byte for byte as Python's `json.dumps` writes it; fails on undefined. */
export function dumpJson(value: unknown, options: JsonOptions, level = 1): string {
  const {
    indent,
    separators: [itemSeparator, keySeparator],
  } = options;
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return quote(value, options.ensureAscii);
  if (typeof value === "number" || value instanceof Float) {
    const text = str(value);
    return text === "nan" ? "NaN" : text.replace("inf", "Infinity");
  }
  if (value instanceof Undefined) return failUndefined(value);
  if (value instanceof Attributes) return quote(str(value), options.ensureAscii);
  const wrap = (open: string, items: string[], close: string): string => {
    if (items.length === 0) return open + close;
    if (indent === null) return open + items.join(itemSeparator) + close;
    const margin = `\n${indent.repeat(level)}`;
    return `${open}${margin}${items.join(`${itemSeparator.trimEnd()}${margin}`)}\n${indent.repeat(level - 1)}${close}`;
  };
  if (isList(value))
    return wrap(
      "[",
      value.map((item) => dumpJson(item, options, level + 1)),
      "]",
    );
  if (!isDict(value)) return fail(`${str(value)} is not JSON serializable`);
  const entries = dictEntries(value).map(([key, item]) => [keyText(key), item] as const);
  if (options.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return wrap(
    "{",
    entries.map(
      ([key, item]) => quote(key, options.ensureAscii) + keySeparator + dumpJson(item, options, level + 1),
    ),
    "}",
  );
}

/** Reads JSON, telling `1.0` from `1`; fails on what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    const parsed: unknown = JSON.parse(text);
    // Only a number written with a fraction or exponent can be a whole float, and only then is the slower way needed.
    return /\d(?:\.0+|[eE])/.test(text) ? withFloats(text) : parsed;
  } catch (error) {
    return fail(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function withFloats(text: string): unknown {
  const mark = "\u0000float:";
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g, (token) =>
    token.startsWith('"') || /^-?\d+$/.test(token) ? token : JSON.stringify(mark + token),
  );
  return JSON.parse(marked, (_, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(mark)) return value;
    const number = Number(value.slice(mark.length));
    return Number.isInteger(number) ? new Float(number) : number;
  });
}
