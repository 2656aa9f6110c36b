import type { Frame, Frame as FrameType } from "nunjucks/src/runtime.js";
import { keepsText } from "../core/values/kept-text.ts";
import { varScope } from "../vars/scope.ts";
import { attribute, item, slice } from "./access.ts";
import { fail, failUndefined, locate, type Position } from "./errors.ts";
import { and, binary, compare, compareChain, equals, or, unary } from "./operators.ts";
import type { Piece } from "./syntax/nodes.ts";
import {
  Attributes,
  Blank,
  type CallState,
  dictFrom,
  Func,
  float,
  iterate,
  type Keywords,
  keywords,
  Namespace,
  str,
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

const LENIENT_FILTERS = new Set(["default", "d", "format", "mandatory", "type_debug"]);
const LENIENT_TESTS = new Set([
  "defined",
  "undefined",
  "none",
  "string",
  "number",
  "mapping",
  "callable",
  "sameas",
  "sequence",
  "boolean",
  "integer",
  "float",
  "true",
  "false",
]);

/** Filters that deal with undefined arguments by themselves. */
const LAZY_FILTERS: ReadonlySet<string> = new Set([
  ...["ternary", "extract"],
  // Their arguments are those of another filter or test, which no item may need.
  ...["map", "select", "selectattr", "reject", "rejectattr"],
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
    : [...check(args.slice(0, 1)), ...(LAZY_FILTERS.has(name) ? args.slice(1) : check(args.slice(1)))];
  return explained("filter", name, () => call(strict, byName, state));
}

/**
 * Return the name of a value's type, with what the place of the value tells of a text: that it stays text, or where it
 * came from. `root` is the var that the place is in, `isOwn` tells that the holder is that var.
 */
function typeDebug(
  value: unknown,
  holder: unknown,
  key: unknown,
  root: string | null,
  isOwn: boolean,
  { state }: Context,
): unknown {
  if (typeof value !== "string") return state.filter("type_debug")([value], {}, state);
  const scope = varScope(state.vars);
  if (holder === null ? scope.isVerbatim(String(key)) : keepsText(holder, key)) return "NativeJinjaText";
  return root === null ? "str" : scope.textType(root, isOwn ? key : undefined);
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
    /** The pieces that the text of a var has printed so far. */
    pieces: [] as Piece[],
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
    term: (text: string, { state }: Context): unknown => state.term(text),
    test,
    truth,
    tuple,
    typeDebug,
    unary,
    unpack,
    self: (context: Context) =>
      new Attributes("TemplateReference", (key) =>
        context.blocks.has(key) ? new Func(key, () => block(context, key, context.frame)) : undefined,
      ),
    blank: new Blank("the inline if has no else, and its condition is false"),
    dict: dictFrom,
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

/** The compiled parts of a `for` statement. */
interface LoopParts {
  readonly recursive: boolean;
  readonly assign: (frame: Frame, value: unknown) => void;
  readonly test: ((frame: Frame) => unknown) | null;
  readonly body: (frame: Frame) => string;
  readonly otherwise: ((frame: Frame) => string) | null;
}

interface LoopState {
  readonly items: readonly unknown[];
  readonly depth: number;
  readonly recurse: Func;
  index: number;
  lastChanged: unknown[] | undefined;
}

function neighbour(items: readonly unknown[], index: number, which: string): unknown {
  return index in items ? items[index] : new Undefined(`there is no ${which} item`);
}

const VARIABLES: Readonly<Record<string, (state: LoopState) => unknown>> = {
  index: ({ index }) => index + 1,
  index0: ({ index }) => index,
  revindex: ({ items, index }) => items.length - index,
  revindex0: ({ items, index }) => items.length - index - 1,
  first: ({ index }) => index === 0,
  last: ({ items, index }) => index === items.length - 1,
  length: ({ items }) => items.length,
  depth: ({ depth }) => depth + 1,
  depth0: ({ depth }) => depth,
  previtem: ({ items, index }) => neighbour(items, index - 1, "previous"),
  nextitem: ({ items, index }) => neighbour(items, index + 1, "next"),
  cycle: ({ index }) =>
    new Func("cycle", (values) =>
      values.length === 0
        ? fail("loop.cycle needs something to cycle through")
        : values[index % values.length],
    ),
  changed: (state) =>
    new Func("changed", (values) => {
      const changed = state.lastChanged === undefined || !equals(state.lastChanged, values);
      state.lastChanged = [...values];
      return changed;
    }),
  __call__: ({ recurse }) => recurse,
};

/** Run a `for` statement; `depth` counts recursion, from 0. */
function loop(frame: Frame, iterable: unknown, parts: LoopParts, depth: number): string {
  let items: readonly unknown[] = [...iterate(iterable)];
  if (parts.test !== null) {
    const { test } = parts;
    items = items.filter((value) => {
      const inner = frame.push();
      parts.assign(inner, value);
      return truth(test(inner));
    });
  }
  const recurse = new Func("loop", ([below]) =>
    parts.recursive
      ? loop(frame, below, parts, depth + 1)
      : fail("loop(...) needs the 'recursive' keyword of the for tag"),
  );
  const state: LoopState = { items, depth, recurse, index: 0, lastChanged: undefined };
  let output = "";
  for (; state.index < items.length; state.index++) {
    const inner = frame.push();
    inner.set(
      "loop",
      new Attributes("LoopContext", (name) =>
        Object.hasOwn(VARIABLES, name) ? VARIABLES[name]?.(state) : undefined,
      ),
    );
    parts.assign(inner, items[state.index]);
    output += parts.body(inner);
  }
  return items.length === 0 && parts.otherwise !== null ? parts.otherwise(frame.push()) : output;
}

/** A macro's signature, and which of Jinja's special variables its body reads. */
interface MacroSignature {
  readonly name: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly fallback: ((frame: Frame) => unknown) | null;
  }[];
  readonly varargs: boolean;
  readonly kwargs: boolean;
  readonly caller: boolean;
}

function bind(frame: Frame, signature: MacroSignature, args: readonly unknown[], keywords: Keywords): void {
  const { name, parameters } = signature;
  const left = new Map(Object.entries(keywords));
  const caller = left.get("caller");
  if (!parameters.some((parameter) => parameter.name === "caller")) left.delete("caller");
  parameters.forEach((parameter, index) => {
    let value = args[index];
    if (index < args.length) {
      if (left.has(parameter.name))
        fail(`macro '${name}' got two values for its argument '${parameter.name}'`);
    } else if (left.has(parameter.name)) {
      value = left.get(parameter.name);
      left.delete(parameter.name);
    } else {
      value =
        parameter.fallback?.(frame) ??
        (parameter.fallback ? null : new Undefined(`parameter '${parameter.name}' was not provided`));
    }
    frame.set(parameter.name, value);
  });
  if (args.length > parameters.length && !signature.varargs)
    fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  const [unexpected] = left.keys();
  if (unexpected !== undefined && !signature.kwargs)
    fail(`macro '${name}' takes no keyword argument '${unexpected}'`);
  if (caller !== undefined && !signature.caller)
    fail(`macro '${name}' was called with a call block, but never uses caller`);
  if (signature.varargs) frame.set("varargs", tuple(...args.slice(parameters.length)));
  if (signature.kwargs) frame.set("kwargs", left);
  if (signature.caller && !parameters.some((parameter) => parameter.name === "caller")) {
    frame.set(
      "caller",
      caller ?? new Undefined("this macro was not called with a call block, so it has no caller"),
    );
  }
}

/** Make the value of a macro: callable, with the attributes that Jinja gives it. */
function macro(frame: Frame, signature: MacroSignature, body: (frame: Frame) => string): Attributes {
  const call = new Func(signature.name, (args, keywords) => {
    const inner = frame.push();
    bind(inner, signature, args, keywords);
    return body(inner);
  });
  const attributes: Readonly<Record<string, unknown>> = {
    __call__: call,
    name: signature.name,
    arguments: tuple(...signature.parameters.map((parameter) => parameter.name)),
    catch_varargs: signature.varargs,
    catch_kwargs: signature.kwargs,
    caller: signature.caller,
  };
  return new Attributes("Macro", (key) => (Object.hasOwn(attributes, key) ? attributes[key] : undefined));
}
