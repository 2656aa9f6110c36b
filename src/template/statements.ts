import type { Frame } from "nunjucks/src/runtime.js";
import { fail } from "./errors.ts";
import { equals } from "./operators.ts";
import { Attributes, Func, iterate, type Keywords, truth, tuple, Undefined } from "./values.ts";

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
export function loop(frame: Frame, iterable: unknown, parts: LoopParts, depth: number): string {
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
export function macro(frame: Frame, signature: MacroSignature, body: (frame: Frame) => string): Attributes {
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
