import nunjucksRuntime from "nunjucks/src/runtime.js";
import { isLate } from "../core/values/vars.ts";
import { lookupIn } from "../vars/scope.ts";
import { fail, failUndefined, isOfUndefined, NeedsCopies } from "./errors.ts";
import { dictMethods, listMethods, numberMethods, stringMethods } from "./methods.ts";
import {
  Attributes,
  type Callable,
  defined,
  dictGet,
  Float,
  Func,
  isDict,
  isFloat,
  isInt,
  isList,
  Namespace,
  repr,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** A scope over the caller's variables: they are read on lookup, copied only if `copies` says so, and never changed by an assignment. */
export class VarsFrame extends nunjucksRuntime.Frame {
  readonly #lookUp: (name: string) => unknown;
  /** The copies made so far; one copy serves the whole rendering, so that it sees its own changes. */
  readonly #copies: Map<string, unknown> | undefined;

  constructor(
    parent: InstanceType<typeof nunjucksRuntime.Frame>,
    vars: Readonly<Record<string, unknown>>,
    copies: boolean,
  ) {
    super(parent);
    this.#lookUp = lookupIn(vars);
    this.#copies = copies ? new Map() : undefined;
  }

  override lookup(name: string): unknown {
    const copied = this.#copies?.get(name);
    if (copied !== undefined) return copied;
    const given = this.#given(name);
    if (given === undefined) return super.lookup(name);
    if (this.#copies === undefined) return given;
    const copy = copyOf(given);
    this.#copies.set(name, copy);
    return copy;
  }

  /** Return the caller's variable; a var that needs an undefined one is undefined itself. */
  #given(name: string): unknown {
    try {
      return this.#lookUp(name);
    } catch (error) {
      if (!isOfUndefined(error)) throw error;
      return new Undefined(error.message, error);
    }
  }
}

/** Copy lists and dicts at any depth. */
function copyOf(value: unknown): unknown {
  if (isList(value)) {
    const copy = Array.from(value, copyOf);
    return value instanceof Tuple
      ? Object.assign(Tuple.from(copy), value.names && { names: value.names })
      : copy;
  }
  if (!isDict(value)) return value;
  if (value instanceof Map) return new Map(Array.from(value, ([key, inner]) => [key, copyOf(inner)]));
  const copy = {};
  const late = isLate(value);
  for (const key of Object.keys(value)) {
    // A late value may fail, so it is not worked out here.
    if (late) defineLate(copy, key, () => copyOf(value[key]));
    else
      Object.defineProperty(copy, key, {
        value: copyOf(value[key]),
        enumerable: true,
        configurable: true,
        writable: true,
      });
  }
  return copy;
}

function defineLate(target: object, key: string, make: () => unknown): void {
  const define = (value: unknown): unknown => {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
    return value;
  };
  Object.defineProperty(target, key, {
    get: () => define(make()),
    set: define,
    enumerable: true,
    configurable: true,
  });
}

type Methods = Readonly<Record<string, Callable>>;

const textMethods = stringMethods(attributePath);

function methodsOf(value: unknown): Methods {
  if (typeof value === "string") return textMethods;
  if (isList(value)) return listMethods;
  if (isInt(value) || isFloat(value)) return numberMethods;
  return isDict(value) ? dictMethods : {};
}

/** The methods that change their list or dict. */
const CHANGING = new Set(
  "append clear extend insert pop popitem remove reverse setdefault sort update".split(" "),
);

function method(value: unknown, name: string): Func | undefined {
  const methods = methodsOf(value);
  const call = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return (
    call &&
    new Func(name, (args, keywords, state) => {
      if (CHANGING.has(name) && !state.ownsVars) throw new NeedsCopies();
      return call([value, ...args], keywords, state);
    })
  );
}

function own(value: unknown, name: string): unknown {
  if (isDict(value)) return dictGet(value, name);
  if (value instanceof Namespace) return value.values.get(name);
  if (value instanceof Attributes) return value.get(name);
  if (value instanceof Tuple && value.names?.includes(name)) return value[value.names.indexOf(name)];
  return undefined;
}

/** Name a value's type as Jinja does in its errors. */
function kindOf(value: unknown): string {
  return value === null ? "None" : `${typeName(value)} object`;
}

function missing(value: unknown, name: string): Undefined {
  return new Undefined(`'${kindOf(value)}' has no attribute '${name}'`);
}

function noElement(value: unknown, key: unknown): Undefined {
  return new Undefined(`${kindOf(value)} has no element ${repr(key)}`);
}

/** Return `value.name`: a method of Python first, then an item of a dict; never a JavaScript property. */
export function attribute(value: unknown, name: string): unknown {
  if (value instanceof Undefined) return value;
  if (name === "__class__")
    return new Attributes("type", (key) => (key === "__name__" ? typeName(value) : undefined));
  return method(value, name) ?? own(value, name) ?? (own(value, name) === null ? null : missing(value, name));
}

/** Return `value[key]`: an item first, then an attribute. */
export function item(value: unknown, key: unknown): unknown {
  if (value instanceof Undefined) return value;
  if (key instanceof Undefined) return failUndefined(key);
  if (isList(value) || typeof value === "string") {
    const items = typeof value === "string" && isInt(key) ? [...value] : value;
    const index = key instanceof Float ? undefined : key === true ? 1 : key === false ? 0 : key;
    if (isInt(index)) {
      const at = Number(index);
      const found: unknown = items[at < 0 ? items.length + at : at];
      return found === undefined ? noElement(value, key) : found;
    }
  }
  const found = isDict(value) ? dictGet(value, key) : typeof key === "string" ? own(value, key) : undefined;
  if (found !== undefined) return found;
  if (typeof key === "string") return method(value, key) ?? missing(value, key);
  return noElement(value, key);
}

function bound(value: unknown): number | undefined {
  if (value === null) return undefined;
  return isInt(defined(value)) ? Number(value) : fail("slice indices must be integers or None");
}

/** Return `value[start:stop:step]` of a list, tuple or string. */
export function slice(value: unknown, start: unknown, stop: unknown, step: unknown): unknown {
  defined(value);
  if (typeof value !== "string" && !isList(value))
    return fail(`'${typeName(value)}' object cannot be sliced`);
  const items = [...value];
  const stride = bound(step) ?? 1;
  if (stride === 0) fail("slice step cannot be zero");
  const size = items.length;
  const clamp = (index: number | undefined, fallback: number): number => {
    if (index === undefined) return fallback;
    const positive = index < 0 ? index + size : index;
    return stride > 0 ? Math.min(Math.max(positive, 0), size) : Math.min(Math.max(positive, -1), size - 1);
  };
  const from = clamp(bound(start), stride > 0 ? 0 : size - 1);
  const to = clamp(bound(stop), stride > 0 ? size : -1);
  const result: unknown[] = value instanceof Tuple ? new Tuple() : [];
  for (let index = from; stride > 0 ? index < to : index > to; index += stride) result.push(items[index]);
  return typeof value === "string" ? result.join("") : result;
}

/** Return the value at a dotted path as filters take it: `a.b.0`; an int is an index. */
export function attributePath(value: unknown, path: unknown): unknown {
  if (typeof path !== "string") return item(value, path);
  let current = value;
  for (const part of path.split(".")) current = item(current, /^\d+$/.test(part) ? Number(part) : part);
  return current;
}
