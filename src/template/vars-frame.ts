import nunjucksRuntime from "nunjucks/src/runtime.js";
import { isLate } from "../core/json.ts";
import { isOfUndefined } from "./errors.ts";
import { isDict, isList, Tuple, Undefined } from "./values.ts";

type Frame = InstanceType<typeof nunjucksRuntime.Frame>;

/** A scope over the caller's variables: they are read when asked for, never copied unless `copies` says so, and never changed by an assignment. */
export class VarsFrame extends nunjucksRuntime.Frame {
  readonly #vars: Readonly<Record<string, unknown>>;
  /** What has been asked for, where each is to be a copy: one for the whole rendering, so that changes are seen in it. */
  readonly #copies: Map<string, unknown> | undefined;

  constructor(parent: Frame, vars: Readonly<Record<string, unknown>>, copies: boolean) {
    super(parent);
    this.#vars = vars;
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

  /** What the caller has under a name: a var that needs what is not defined is not defined itself. */
  #given(name: string): unknown {
    if (!Object.hasOwn(this.#vars, name)) return undefined;
    try {
      return this.#vars[name];
    } catch (error) {
      if (!isOfUndefined(error)) throw error;
      return new Undefined(error.message, error);
    }
  }
}

/** A value whose lists and dicts, at any depth, are others. */
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
    // What is worked out when it is asked for may fail, and stays unasked.
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
