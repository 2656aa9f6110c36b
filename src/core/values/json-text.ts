import { Data, dictEntries, Float, isDict, keyText, makeDict, numberText } from "./value.ts";

/** The style of {@link writeJson}; the names are those of Python's `json.dumps`. */
export interface JsonStyle {
  /** The margin of each level; null writes one line. Default: null. */
  readonly indent?: string | null;
  /** Sort keys by this order. Default: their own order. */
  readonly compareKeys?: (a: unknown, b: unknown) => number;
  /** Escape characters beyond ASCII. Default: false. */
  readonly ensureAscii?: boolean;
  /** The text between items, and between key and value. Default: `, ` and `: `. */
  readonly separators?: readonly [item: string, key: string];
  /** Return a substitute for a value that JSON has no type for. Default: the result of its `toJSON`, otherwise null. */
  readonly other?: (value: unknown) => unknown;
}

function quote(text: string, ensureAscii = false): string {
  const quoted = JSON.stringify(text);
  if (!ensureAscii) return quoted;
  return quoted.replace(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function toJson(value: unknown): unknown {
  const { toJSON } = Object(value) as { readonly toJSON?: unknown };
  return typeof toJSON === "function" ? toJSON.call(value) : null;
}

/** Write a value as Python's `json.dumps` does: every digit of an integer, `8.0`, `NaN`, keys in their order. */
export function writeJson(value: unknown, style: JsonStyle = {}, level = 1): string {
  const { indent = null, compareKeys, ensureAscii, separators = [", ", ": "], other = toJson } = style;
  if (value === null || value === undefined || typeof value === "boolean") return String(value ?? null);
  if (typeof value === "string") return quote(value, ensureAscii);
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float) {
    const text = numberText(value);
    return text === "nan" ? "NaN" : text.replace("inf", "Infinity");
  }
  if (value instanceof Data) return quote(value.text, ensureAscii);
  const wrap = (open: string, items: readonly string[], close: string): string => {
    if (items.length === 0) return open + close;
    if (indent === null) return open + items.join(separators[0]) + close;
    const margin = `\n${indent.repeat(level)}`;
    return `${open}${margin}${items.join(`${separators[0].trimEnd()}${margin}`)}\n${indent.repeat(level - 1)}${close}`;
  };
  const write = (inner: unknown): string => writeJson(inner, style, level + 1);
  if (Array.isArray(value)) return wrap("[", Array.from(value, write), "]");
  if (!isDict(value)) return writeJson(other(value), style, level);
  const entries = dictEntries(value);
  if (compareKeys !== undefined) entries.sort(([a], [b]) => compareKeys(a, b));
  const written = entries.map(
    ([key, item]) => quote(keyText(key), ensureAscii) + separators[1] + write(item),
  );
  return wrap("{", written, "}");
}

/** Text that `JSON.parse` reads differently from Python: whole floats, long integers, and keys that it would reorder. */
const UNLIKE_PYTHON = /\d\.0+(?!\d)|\d[eE]|\d{16}|"(?:\d+|__proto__)"\s*:/;
const TOKEN = /"(?:[^"\\]|\\.)*"(\s*:)?|-?(?:NaN|Infinity|(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?(?![\d.eE]))/g;

/** Read JSON as Python does, without loss. Fail with the SyntaxError of JSON.parse. */
export function parseJson(text: string): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    if (!/NaN|Infinity/.test(text)) throw error;
    return readMarked(text);
  }
  return UNLIKE_PYTHON.test(text) ? readMarked(text) : parsed;
}

/** Read JSON with every token turned into a text that begins with its kind: `k` a key, `s` a text, `f` a float, `i` an integer. */
function readMarked(text: string): unknown {
  const marked = text.replace(TOKEN, (token, colon?: string, fraction?: string, exponent?: string) => {
    if (token.startsWith('"')) return `"${colon === undefined ? "s" : "k"}${token.slice(1)}`;
    const isFloat = fraction !== undefined || exponent !== undefined || /[NI]/.test(token);
    return `"${isFloat ? "f" : "i"}${token}"`;
  });
  return JSON.parse(marked, (_key, value: unknown) => {
    if (typeof value === "string") return readToken(value.charAt(0), value.slice(1));
    if (!isDict(value) || value instanceof Map) return value;
    return makeDict(Object.entries(value).map(([key, item]) => [key.slice(1), item]));
  });
}

function readToken(kind: string, text: string): unknown {
  const number = Number(text);
  if (kind === "s") return text;
  if (kind === "f") return Number.isInteger(number) ? new Float(number) : number;
  return Number.isSafeInteger(number) ? number : BigInt(text);
}
