import { plain } from "../core/plain-vars.ts";
import type { FileType } from "../core/system.ts";
import {
  type Dict,
  dictEntries,
  Float,
  float,
  isDict,
  keyOf,
  keyText,
  makeDict,
  numeric,
} from "../core/value.ts";
import { fail, failUndefined } from "./errors.ts";

/** A name, attribute or item that is not there; using it for anything but a check or a default is an error. */
export class Undefined {
  readonly message: string;
  /** Why a var could not be rendered. */
  readonly cause: Error | undefined;
  constructor(message: string, cause?: Error) {
    this.message = message;
    this.cause = cause;
  }
}

/** What an inline `if` without `else` gives: it prints as nothing instead of failing, as in Jinja. */
export class Blank extends Undefined {}

/** A Python tuple: an array that prints with parentheses and never equals a list. */
export class Tuple extends Array<unknown> {
  /** The names of its items, when it is a named tuple. */
  declare names?: readonly string[];
  /** What `map`, `filter` and `slice` of a tuple make: a list, as Python's filters do. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** Keyword arguments of a call, by name. */
export type Keywords = Readonly<Record<string, unknown>>;

/** What a filter, test, method or global can ask about the render it is part of. */
export interface CallState {
  /** Whether lists and dicts of the caller are copies, so that methods may change them. */
  readonly ownsVars: boolean;
  readonly vars: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What is at a path of the host being worked on, links followed or not; null: nothing. */
  look(path: string, follow: boolean): FileType | null;
  filter(name: string): Callable;
  test(name: string): Callable;
  lookup(name: string): Callable;
  /** Null when there is no such file. */
  readText(name: string, kind: "files" | "templates"): string | null;
  /** Every file below a directory of the role's files. */
  listFiles(name: string): readonly string[];
  /** Null when there is no such template; `more` are variables over those of this render. */
  renderTemplate(name: string, more: Readonly<Record<string, unknown>>): string | null;
}

/** Something a template can call: positional arguments, keyword arguments, and the render it is part of. */
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

/** What `namespace()` makes: the one thing whose attributes `{% set %}` may assign. */
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

/** A tuple of these values. */
export function tuple(...items: unknown[]): Tuple {
  const result = new Tuple();
  for (const item of items) result.push(item);
  return result;
}

/** A named tuple: its items can be read as attributes too. */
export function named(names: readonly string[], ...items: unknown[]): Tuple {
  return Object.assign(tuple(...items), { names });
}

/** Whether a value is a Python int (bool excluded). */
export function isInt(value: unknown): value is number | bigint {
  return typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
}

/** Whether a value is a Python float. */
export function isFloat(value: unknown): value is number | Float {
  return value instanceof Float || (typeof value === "number" && !Number.isInteger(value));
}

/** Whether a value is a list or tuple. */
export function isList(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

/** The number a value stands for (bools count as 0 and 1), as exactly as JavaScript's numbers can, or undefined. */
export function asNumber(value: unknown): number | undefined {
  const number = numeric(value);
  return number === undefined ? undefined : Number(number);
}

/** Python's name of a value's type. */
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

/** The value under a key, or undefined when there is none; never what an object inherits. */
export function dictGet(dict: Dict, key: unknown): unknown {
  if (dict instanceof Map) return dict.get(keyOf(dict, key));
  // Only TypeScript makes objects with such keys, and there `{ 20: … }` has the text "20".
  const name = typeof key === "number" && key >= 0 && Number.isInteger(key) ? String(key) : key;
  return typeof name === "string" && Object.hasOwn(dict, name) ? dict[name] : undefined;
}

/** Sets a key in place. */
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

/** Removes a key in place. */
export function dictDelete(dict: Dict, key: unknown): void {
  if (dict instanceof Map) dict.delete(keyOf(dict, key));
  else delete dict[keyText(key)];
}

/** Keys in order. */
export function dictKeys(dict: Dict): unknown[] {
  return dictEntries(dict).map(([key]) => key);
}

/** The items of anything Python can iterate: list, tuple, dict (its keys), string (its characters). */
export function iterate(value: unknown): unknown[] {
  if (isList(value)) return value;
  if (typeof value === "string") return [...value];
  if (isDict(value)) return dictKeys(value);
  if (value instanceof Blank) return [];
  if (value instanceof Undefined) return failUndefined(value);
  return fail(`'${typeName(value)}' object is not iterable`);
}

/** Fails on an undefined value, otherwise returns it. */
export function defined(value: unknown): unknown {
  if (!(value instanceof Undefined)) return value;
  return value instanceof Blank ? "" : failUndefined(value);
}

/** Python's truth: empty strings, lists and dicts, zero and None are false. */
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

/** The value as vars have it, see core/value.ts: tuples as lists, dicts as objects where that can be; fails on undefined. */
export function toValue(value: unknown): unknown {
  if (value instanceof Undefined) return failUndefined(value);
  if (isList(value)) return Array.from(value, toValue);
  return isDict(value)
    ? makeDict(dictEntries(value).map(([key, item]) => [toValue(key), toValue(item)]))
    : value;
}

/** The value as a function in TypeScript gets it: floats as numbers, tuples as arrays, dicts as objects; fails on undefined. */
export function toNative(value: unknown): unknown {
  return plain(toValue(value));
}

export { type Dict, dictEntries, Float, float, isDict };
