import type { Frame as FrameType } from "nunjucks/src/runtime.js";
import nunjucksRuntime from "nunjucks/src/runtime.js";
import { makeMap } from "../core/values/value.ts";
import { isLate } from "../core/values/vars.ts";
import { attribute, item, slice } from "./attributes.ts";
import { fail, failUndefined, isOfUndefined, locate, type Position } from "./errors.ts";
import { and, binary, compare, compareChain, or, unary } from "./operators.ts";
import { loop, macro } from "./statements.ts";
import {
  Attributes,
  Blank,
  type CallState,
  Func,
  float,
  isDict,
  isList,
  iterate,
  type Keywords,
  keywords,
  Namespace,
  str,
  Tuple,
  toNative,
  truth,
  tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** A block of a template, and whether a child must replace it. */
export interface Block {
  readonly render: (context: Context, frame: FrameType) => string;
  readonly required: boolean;
}

/** A template's code, ready to run. */
export interface CompiledTemplate {
  readonly root: (context: Context, frame: FrameType) => string;
  readonly blocks: Readonly<Record<string, Block>>;
  readonly here: Position;
}

/** The state of a render of a template and those it extends: its variables, and for each block the versions from child to root. */
export interface Context {
  readonly frame: FrameType;
  readonly state: CallState;
  readonly blocks: Map<string, Block[]>;
}

/** The templates that a runtime belongs to. */
interface TemplateSource {
  /** Return the compiled template of a name, or null. */
  find(name: string): CompiledTemplate | null;
  createContext(template: CompiledTemplate, parent: FrameType | null, state: CallState): Context;
}

const LENIENT_FILTERS = new Set(["default", "d", "mandatory", "type_debug"]);
const LENIENT_TESTS = new Set([
  "defined",
  "undefined",
  "none",
  "string",
  "number",
  "mapping",
  "callable",
  "sameas",
  "boolean",
  "integer",
  "float",
  "true",
  "false",
]);

function check(values: readonly unknown[]): readonly unknown[] {
  for (const value of values) {
    if (value instanceof Undefined && !(value instanceof Blank)) failUndefined(value);
  }
  return values.map((value) => (value instanceof Blank ? "" : value));
}

function explained<T>(kind: string, name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof TypeError)
      fail(`the ${kind} '${name}' cannot be used on this value: ${error.message}`);
    throw error;
  }
}

function filter(name: string, args: readonly unknown[], byName: Keywords, { state }: Context): unknown {
  const call = state.filter(name);
  const strict = LENIENT_FILTERS.has(name)
    ? args
    : [...check(args.slice(0, 1)), ...(name === "ternary" ? args.slice(1) : check(args.slice(1)))];
  return explained("filter", name, () => call(strict, byName, state));
}

function test(name: string, args: readonly unknown[], byName: Keywords, { state }: Context): boolean {
  const call = state.test(name);
  return truth(
    explained("test", name, () => call(LENIENT_TESTS.has(name) ? args : check(args), byName, state)),
  );
}

function call(callee: unknown, args: readonly unknown[], byName: Keywords, { state }: Context): unknown {
  if (callee instanceof Func)
    return explained("function", callee.name, () => callee.call(args, byName, state));
  if (callee instanceof Undefined) return failUndefined(callee);
  if (callee instanceof Attributes) {
    const inner = callee.get("__call__");
    if (inner instanceof Func) return inner.call(args, byName, state);
  }
  if (typeof callee !== "function") return fail(`'${typeName(callee)}' object is not callable`);
  return (callee as (...values: unknown[]) => unknown)(...args.map(toNative));
}

function setAttribute(target: unknown, name: string, value: unknown): void {
  if (!(target instanceof Namespace)) fail("cannot assign an attribute on a value that is not a namespace");
  (target as Namespace).values.set(name, value);
}

function unpack(value: unknown, count: number): unknown[] {
  const items = iterate(value);
  if (items.length < count) fail(`not enough values to unpack (expected ${count}, got ${items.length})`);
  if (items.length > count) fail(`too many values to unpack (expected ${count})`);
  return items;
}

/** Print a value; None is printed as nothing, as in Ansible. */
function print(value: unknown): string {
  return value === null ? "" : str(value);
}

function name(frame: FrameType, identifier: string): unknown {
  const value = frame.lookup(identifier);
  return value === undefined ? new Undefined(`'${identifier}' is undefined`) : value;
}

/** Return the scope of an included template: as in Jinja, all of the including one but its `loop`. */
function withoutLoop(frame: FrameType): FrameType {
  const inner = frame.push();
  inner.set("loop", new Undefined("'loop' is undefined"));
  return inner;
}

function block(context: Context, blockName: string, frame: FrameType): string {
  const first = context.blocks.get(blockName)?.[0] ?? fail(`there is no block '${blockName}'`);
  if (first.required)
    fail(`block '${blockName}' is required, but no template that extends this one defines it`);
  return first.render(context, frame.push());
}

function superBlock(context: Context, blockName: string, render: Block["render"], frame: FrameType): unknown {
  const versions = context.blocks.get(blockName) ?? [];
  const parent = versions[versions.findIndex((version) => version.render === render) + 1];
  if (parent === undefined) return new Undefined(`block '${blockName}' has no parent for super()`);
  const call = new Func("super", () => parent.render(context, frame.push()));
  return new Attributes("BlockReference", (key) =>
    key === "__call__"
      ? call
      : key === "super"
        ? superBlock(context, blockName, parent.render, frame)
        : undefined,
  );
}

/** Make the functions that the code of compiled templates calls. */
export function createRuntime(source: TemplateSource) {
  const find = (target: unknown): CompiledTemplate | null => {
    for (const one of Array.isArray(target) ? (target as unknown[]) : [target]) {
      const found = source.find(str(one));
      if (found !== null) return found;
    }
    return null;
  };
  const get = (target: unknown): CompiledTemplate =>
    find(target) ??
    fail(
      `no template ${Array.isArray(target) ? `of ${target.map(str).join(", ")}` : `'${str(target)}'`} exists`,
    );

  return {
    and,
    attribute,
    binary,
    block,
    call,
    compare,
    compareChain,
    filter,
    float,
    item,
    iterate,
    keywords,
    locate,
    loop,
    macro,
    name,
    or,
    print,
    setAttribute,
    slice,
    superBlock,
    test,
    truth,
    tuple,
    unary,
    unpack,
    self: (context: Context) =>
      new Attributes("TemplateReference", (key) =>
        context.blocks.has(key) ? new Func(key, () => block(context, key, context.frame)) : undefined,
      ),
    blank: new Blank("the inline if has no else, and its condition is false"),
    dict: makeMap,
    extend(context: Context, target: unknown): CompiledTemplate {
      const parent = get(target);
      for (const [blockName, version] of Object.entries(parent.blocks)) {
        context.blocks.set(blockName, [...(context.blocks.get(blockName) ?? []), version]);
      }
      return parent;
    },
    include(context: Context, target: unknown, frame: FrameType | null, ignoreMissing: boolean): string {
      const template = ignoreMissing ? find(target) : get(target);
      if (template === null) return "";
      const inner = source.createContext(template, frame === null ? null : withoutLoop(frame), context.state);
      return template.root(inner, inner.frame);
    },
    importTemplate(context: Context, target: unknown, frame: FrameType | null): Attributes {
      const template = get(target);
      const inner = source.createContext(template, frame, context.state);
      template.root(inner, inner.frame);
      const { variables } = inner.frame;
      return new Attributes(`template '${str(target)}'`, (key) =>
        key.startsWith("_") ? undefined : variables[key],
      );
    },
  };
}

/** The functions of {@link createRuntime}. */
export type Runtime = ReturnType<typeof createRuntime>;

type Frame = InstanceType<typeof nunjucksRuntime.Frame>;

/** A scope over the caller's variables: they are read on lookup, copied only if `copies` says so, and never changed by an assignment. */
export class VarsFrame extends nunjucksRuntime.Frame {
  readonly #vars: Readonly<Record<string, unknown>>;
  /** The copies made so far; one copy serves the whole rendering, so that it sees its own changes. */
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

  /** Return the caller's variable; a var that needs an undefined one is undefined itself. */
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
