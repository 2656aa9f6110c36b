/**
 * The values of vars: those of JSON, with the differences that Python, and so Ansible, makes and JavaScript does not.
 *
 * - an integer is a number, or a bigint where a number would not be exact;
 * - a float is a number, or a {@link Float} where its value is whole: `8.0` is not `8`;
 * - a dict is a plain object, or a Map where an object would lose the order or the type of its keys: `{20: blue}`;
 * - a text is a string, or {@link Data} where it must never be taken for a template.
 *
 * Readers of inventories make these values; a Job carries them (`vars/whole-value.ts`), templates work on them. The
 * code of roles and the schemas of their vars see plain values instead (`vars.ts`): numbers, strings and objects.
 */

/** A value that survives JSON unchanged. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** A float with a whole value, which as a number would look like an integer. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  valueOf(): number {
    return this.value;
  }
  toJSON(): number {
    return this.value;
  }
  toString(): string {
    return floatText(this.value);
  }
}

/**
 * A text that is never a template, though it may look like one: `!unsafe`, and secrets. Rendering vars replaces it by
 * its `text`, so templates themselves never meet one.
 */
export class Data {
  readonly text: string;
  /** True for a value that is encrypted with Ansible Vault where it is written. */
  readonly isSealed: boolean;
  constructor(text: string, isSealed = false) {
    this.text = text;
    this.isSealed = isSealed;
  }
  toJSON(): string {
    return this.text;
  }
  toString(): string {
    return this.text;
  }
}

/** A dict. The keys of an object are texts that JavaScript leaves in their order. */
export type Dict = Map<unknown, unknown> | Record<string, unknown>;

/** Tell whether a value is a dict. */
export function isDict(value: unknown): value is Dict {
  if (value instanceof Map) return true;
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Objects of another realm have another Object.prototype, whose own prototype is null too.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** True for a plain object: not null, not an array, not a Map. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

/** Return a float: wrapped if it is whole. */
export function float(value: number): number | Float {
  return Number.isInteger(value) ? new Float(value) : value;
}

/** Return an integer in its shortest form: a number if that is exact. */
export function integer(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Write a float as Python does: `1.0`, `1e+16`, `inf`. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e16 || size < 1e-4))
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** Write a number as Python does. */
export function numberText(value: number | bigint | Float): string {
  if (value instanceof Float) return floatText(value.value);
  return Number.isInteger(value)
    ? BigInt(value).toString()
    : typeof value === "bigint"
      ? `${value}`
      : floatText(value);
}

/** Return the number that a number or boolean counts as; undefined for any other value. */
export function numeric(value: unknown): number | bigint | undefined {
  if (typeof value === "number" || typeof value === "bigint") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return value instanceof Float ? value.value : undefined;
}

/** The floats that are keys of a Map: a single object for each value, because Maps compare objects by identity. */
const floatKeys = new Map<string, Float>();

/** Return the one Float that is the key for a value. */
export function floatKey(value: number): Float {
  // The text tells 0 and -0 apart, which are the same key to a Map.
  const text = floatText(value);
  const known = floatKeys.get(text) ?? new Float(value);
  floatKeys.set(text, known);
  return known;
}

/** Return the key of a Map that equals this one in Python, where `1`, `1.0` and `true` are one key; for a new key, the key to put in. */
export function keyOf(map: ReadonlyMap<unknown, unknown>, key: unknown): unknown {
  const own = key instanceof Float ? floatKey(key.value) : key;
  const number = numeric(key);
  if (number === undefined || map.has(own)) return own;
  const whole = typeof number === "bigint" || Number.isInteger(number) ? integer(BigInt(number)) : number;
  const same = [
    whole,
    floatKey(Number(number)),
    ...(Number(number) === 1 ? [true] : Number(number) === 0 ? [false, floatKey(0), floatKey(-0)] : []),
  ];
  return same.find((one) => map.has(one)) ?? own;
}

/** Make a Map. Of equal keys the first stays, with the last one's value. */
export function makeMap(entries: Iterable<readonly [unknown, unknown]>): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (const [key, value] of entries) map.set(keyOf(map, key), value);
  return map;
}

/** Make a dict: an object if possible. */
export function makeDict(entries: Iterable<readonly [unknown, unknown]>): Dict {
  const map = makeMap(entries);
  for (const key of map.keys())
    if (typeof key !== "string" || key === "__proto__" || /^\d+$/.test(key)) return map;
  return Object.fromEntries(map) as Record<string, unknown>;
}

/** Return keys and values in order, without keys whose value is JavaScript's undefined. */
export function dictEntries(dict: Dict): [unknown, unknown][] {
  if (dict instanceof Map) return [...dict];
  return Object.entries(dict).filter(([, value]) => value !== undefined);
}

/** Return a dict's key as JSON has it. */
export function keyText(key: unknown): string {
  return typeof key === "number" || typeof key === "bigint" || key instanceof Float
    ? numberText(key)
    : String(key);
}

/** Replace every part of a value that is neither a list nor a dict. Unchanged lists and dicts are not copied. */
export function mapLeaves(value: unknown, replace: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => mapLeaves(item, replace));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (!isDict(value)) return replace(value);
  let changed = false;
  const entries = (value instanceof Map ? [...value] : Object.entries(value)).map(([key, inner]) => {
    const mapped = mapLeaves(inner, replace);
    changed ||= mapped !== inner;
    return [key, mapped] as const;
  });
  if (!changed) return value;
  return value instanceof Map ? new Map(entries) : Object.fromEntries(entries);
}

/** Return the value with its texts as {@link Data}, where they look like templates. */
export function asData<T>(value: T): T {
  return mapLeaves(value, (leaf) =>
    typeof leaf === "string" && /\{[{%#]/.test(leaf) ? new Data(leaf) : leaf,
  ) as T;
}

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
