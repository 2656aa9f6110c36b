import type { FileType } from "../core/system.ts";
import { PYTHON_NAMES, readPythonLiteral } from "../core/values/python-literal.ts";
import {
  type Dict,
  dictEntries,
  Float,
  float,
  isDict,
  keyOf,
  keyText,
  makeDict,
  makeMap,
  numberText,
  numeric,
} from "../core/values/value.ts";
import { plain } from "../core/values/vars.ts";
import { fail, failUndefined } from "./errors.ts";

/** A missing name, attribute or item; its use for anything but a check or a default is an error. */
export class Undefined {
  readonly message: string;
  /** The reason why a var could not be rendered. */
  readonly cause: Error | undefined;
  constructor(message: string, cause?: Error) {
    this.message = message;
    this.cause = cause;
  }
}

/** The value of an inline `if` without `else`: as in Jinja it prints as nothing instead of failing. */
export class Blank extends Undefined {}

/** A Python tuple: an array that prints with parentheses and never equals a list. */
export class Tuple extends Array<unknown> {
  /** The names of the items of a named tuple. */
  declare names?: readonly string[];
  /** `map`, `filter` and `slice` of a tuple make a list, as Python's filters do. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** Keyword arguments of a call, by name. */
export type Keywords = Readonly<Record<string, unknown>>;

/** The rendering that a filter, test, method or global function is part of. */
export interface CallState {
  /** True if lists and dicts of the caller are copies, which methods may change. */
  readonly ownsVars: boolean;
  readonly vars: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Return what a lookup on the controller finds; undefined where no controller can be asked. */
  readonly ask:
    | ((plugin: string, terms: readonly unknown[], options: Keywords) => readonly unknown[])
    | undefined;
  /** Return the type of the file at a path of the host being worked on, links followed or not; null for none. */
  look(path: string, follow: boolean): FileType | null;
  filter(name: string): Callable;
  test(name: string): Callable;
  lookup(name: string): Callable;
  /** Return the value of a term that a template gives a lookup as a literal text. */
  term(text: string): unknown;
  /** Return the text of a file, or null. */
  readText(name: string, kind: "files" | "templates"): string | null;
  /** Return the name of a file among those of the role and the playbook, looked for in `directory` first; null for none. */
  findFile(name: string, directory: string): string | null;
  /** List every file below a directory of the role's files. */
  listFiles(name: string): readonly string[];
  /** Render a template; null for an unknown one. `more` are variables over those of this rendering, `marks` those of its tags. */
  renderTemplate(
    name: string,
    more: Readonly<Record<string, unknown>>,
    marks: Readonly<Record<string, string>>,
  ): string | null;
}

/** A function that templates can call, with positional arguments, keyword arguments, and the rendering. */
export type Callable = (args: readonly unknown[], keywords: Keywords, state: CallState) => unknown;

/** A callable as a value of the template language: a macro, a bound method, a global function. */
export class Func {
  readonly name: string;
  readonly call: Callable;
  constructor(name: string, call: Callable) {
    this.name = name;
    this.call = call;
  }
}

/** The value of `namespace()`, the only one whose attributes `{% set %}` may assign. */
export class Namespace {
  readonly values: Map<string, unknown>;
  constructor(values: Map<string, unknown>) {
    this.values = values;
  }
}

/** An object with named attributes and no items: `loop`, a date, an imported template. */
export class Attributes {
  readonly kind: string;
  readonly get: (name: string) => unknown;
  constructor(kind: string, get: (name: string) => unknown) {
    this.kind = kind;
    this.get = get;
  }
}

/** Make a tuple. */
export function tuple(...items: unknown[]): Tuple {
  const result = new Tuple();
  for (const item of items) result.push(item);
  return result;
}

/** Make a named tuple, whose items can be read as attributes too. */
export function named(names: readonly string[], ...items: unknown[]): Tuple {
  return Object.assign(tuple(...items), { names });
}

/** Tell whether a value is a Python int; a bool is not. */
export function isInt(value: unknown): value is number | bigint {
  return typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
}

/** Tell whether a value is a Python float. */
export function isFloat(value: unknown): value is number | Float {
  return value instanceof Float || (typeof value === "number" && !Number.isInteger(value));
}

/** Tell whether a value is a list or tuple. */
export function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

/** Return the number that a value stands for, as exactly as JavaScript's numbers can, or undefined; bools are 0 and 1. */
export function asNumber(value: unknown): number | undefined {
  const number = numeric(value);
  return number === undefined ? undefined : Number(number);
}

/** Return Python's name of a value's type. */
export function typeName(value: unknown): string {
  if (value === null) return "NoneType";
  if (value instanceof Undefined || value === undefined) return "Undefined";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "str";
  if (isInt(value)) return "int";
  if (isFloat(value)) return "float";
  if (value instanceof Tuple) return "tuple";
  if (isList(value)) return "list";
  if (value instanceof Namespace) return "Namespace";
  if (value instanceof Attributes) return value.kind;
  return isDict(value) ? "dict" : "function";
}

/** Return the value of a key, or undefined; never an inherited property. */
export function dictGet(dict: Dict, key: unknown): unknown {
  if (dict instanceof Map) return dict.get(keyOf(dict, key));
  // Only TypeScript makes objects with such keys, and there `{ 20: … }` has the key "20".
  const name = typeof key === "number" && key >= 0 && Number.isInteger(key) ? String(key) : key;
  return typeof name === "string" && Object.hasOwn(dict, name) ? dict[name] : undefined;
}

/** Set a key in place. */
export function dictSet(dict: Dict, key: unknown, value: unknown): void {
  if (dict instanceof Map) dict.set(keyOf(dict, key), value);
  else
    Object.defineProperty(dict, keyText(key), {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
}

/** Remove a key in place. */
export function dictDelete(dict: Dict, key: unknown): void {
  if (dict instanceof Map) dict.delete(keyOf(dict, key));
  else delete dict[keyText(key)];
}

/** Return the keys in order. */
export function dictKeys(dict: Dict): unknown[] {
  return dictEntries(dict).map(([key]) => key);
}

/** Return the items of any value that Python can iterate: list, tuple, dict (its keys), string (its characters). */
export function iterate(value: unknown): unknown[] {
  if (isList(value)) return value;
  if (typeof value === "string") return [...value];
  if (isDict(value)) return dictKeys(value);
  if (value instanceof Blank) return [];
  if (value instanceof Undefined) return failUndefined(value);
  return fail(`'${typeName(value)}' object is not iterable`);
}

/** Return a value. Fail for an undefined one. */
export function defined(value: unknown): unknown {
  if (!(value instanceof Undefined)) return value;
  return value instanceof Blank ? "" : failUndefined(value);
}

/** Return the key of a dict. Fail for a list or a dict, which Python cannot look up. */
export function hashable(key: unknown): unknown {
  if (key instanceof Tuple) key.forEach(hashable);
  else if (isList(key) || isDict(key)) fail(`unhashable type: '${typeName(key)}'`);
  return key;
}

/** Make a dict of keys and values. Fail for keys that are none. */
export function dictFrom(entries: readonly (readonly [unknown, unknown])[]): Map<unknown, unknown> {
  return makeMap(entries.map(([key, value]) => [hashable(key), value]));
}

/** Return Python's truth of a value: empty strings, lists and dicts, zero and None are false. */
export function truth(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === "" || value instanceof Blank)
    return false;
  if (value instanceof Undefined) return failUndefined(value);
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Map) return value.size > 0;
  if (isList(value)) return value.length > 0;
  if (isDict(value)) return dictEntries(value).length > 0;
  return value !== 0 && value !== 0n;
}

/** Return a value as vars have it, see core/values/value.ts: tuples as lists, dicts as objects if possible. Fail for undefined. */
export function toValue(value: unknown): unknown {
  if (value instanceof Undefined) return failUndefined(value);
  if (isList(value)) return Array.from(value, toValue);
  return isDict(value)
    ? makeDict(dictEntries(value).map(([key, item]) => [toValue(key), toValue(item)]))
    : value;
}

/** Return a value as functions in TypeScript get it: floats as numbers, tuples as arrays, dicts as objects. Fail for undefined. */
export function toNative(value: unknown): unknown {
  return plain(toValue(value));
}

export { type Dict, dictEntries, Float, float, isDict };

function quoteText(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const body = value.replace(/[\\\n\r\t'"]|\p{C}|[\u2028\u2029\u00a0]/gu, (char) => {
    if (char === "'" || char === '"') return char === quote ? `\\${char}` : char;
    const short = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[char];
    if (short !== undefined) return short;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return quote + body + quote;
}

/** Write a value as Python's `repr` does. Fail for undefined. */
export function repr(value: unknown): string {
  if (typeof value === "string") return quoteText(value);
  if (value instanceof Tuple)
    return value.length === 1 ? `(${repr(value[0])},)` : `(${Array.from(value, repr).join(", ")})`;
  if (isList(value)) return `[${value.map(repr).join(", ")}]`;
  if (isDict(value))
    return `{${dictEntries(value)
      .map(([key, item]) => `${repr(key)}: ${repr(item)}`)
      .join(", ")}}`;
  if (value instanceof Attributes) {
    const text = value.get("__repr__");
    if (typeof text === "string") return text;
  }
  return str(value);
}

/** Write a value as Python's `str` does. Fail for undefined. */
export function str(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float)
    return numberText(value);
  if (value === undefined) return fail("an argument is missing");
  if (value instanceof Blank) return "";
  if (value instanceof Undefined) return failUndefined(value);
  if (value instanceof Namespace) return `<Namespace ${repr(value.values)}>`;
  if (value instanceof Func) return `<function ${value.name}>`;
  if (value instanceof Attributes) {
    const text = value.get("__str__");
    return typeof text === "string" ? text : `<${value.kind}>`;
  }
  if (isList(value) || isDict(value)) return repr(value);
  if (value instanceof Date) return value.toISOString();
  return `<${typeName(value)}>`;
}

/** Make a callable of parameter names (`*rest` gathers the remaining positional arguments) and a function of their values. */
export function callable(parameters: readonly string[], body: (...values: never[]) => unknown): Callable {
  const names = parameters.filter((name) => !name.startsWith("*"));
  const gathers = names.length < parameters.length;
  return (args, keywords, state) => {
    if (!gathers && args.length > names.length)
      fail(`takes at most ${names.length} argument(s), got ${args.length}`);
    const values: unknown[] = names.map((_, index) => args[index]);
    for (const [name, value] of Object.entries(keywords)) {
      const index = names.indexOf(name);
      if (index < 0) fail(`got an unexpected keyword argument '${name}'`);
      values[index] = value;
    }
    return (body as (...all: unknown[]) => unknown)(
      ...values,
      ...(gathers ? [args.slice(names.length)] : []),
      state,
    );
  };
}

/** Return an argument as an int, with a default for a missing one. */
export function intArgument(value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  const number =
    asNumber(defined(value)) ??
    (typeof value === "string" && /^\s*[-+]?\d+\s*$/.test(value) ? Number(value) : undefined);
  return number === undefined ? fail(`expected a number, got ${typeName(value)}`) : Math.trunc(number);
}

/** Return an argument as text, with a default for a missing one. */
export function textArgument(value: unknown, fallback: string): string {
  return value === undefined ? fallback : str(value);
}

/** Return a text. Fail for other values: Python's own functions of text and paths take nothing else. */
export function text(value: unknown): string {
  return typeof defined(value) === "string" ? str(value) : fail(`expected text, got ${typeName(value)}`);
}

/** Return the keyword arguments that `**` spreads from a dict. */
export function keywords(value: unknown): Keywords {
  defined(value);
  if (!isDict(value)) return fail(`argument after ** must be a dict, not ${typeName(value)}`);
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [str(key), item])) : value;
}

/** Python's names of values, and JSON's. */
const NAMES = new Map<string, unknown>([...PYTHON_NAMES, ["true", true], ["false", false], ["null", null]]);

/** Return the list, dict or bool that a rendered text is in Python's or JSON's syntax; undefined for any other text. */
export function readLiteral(text: string): unknown {
  if (text === "True" || text === "False") return text === "True";
  if (!/^[[{]/.test(text)) return undefined;
  return readPythonLiteral(text, {
    names: NAMES,
    // A set has no value in templates.
    collection: (kind, items) => (kind === "tuple" ? tuple(...items) : undefined),
  });
}

/** Tell whether a literal can say this value, so that its text need not be read again. */
export function isLiteral(value: unknown): boolean {
  if (isList(value)) return value.every(isLiteral);
  if (isDict(value)) {
    return value instanceof Map
      ? [...value].every(([key, inner]) => isLiteral(key) && isLiteral(inner))
      : Object.values(value).every(isLiteral);
  }
  if (typeof value === "number") return Number.isFinite(value);
  return (
    value instanceof Float ||
    (typeof value !== "function" &&
      !(
        value instanceof Undefined ||
        value instanceof Attributes ||
        value instanceof Func ||
        value instanceof Namespace ||
        value === undefined
      ))
  );
}
