import type { Frame } from "nunjucks/src/runtime.js";
import { fail } from "./errors.ts";
import { equals } from "./operators.ts";
import { Attributes, Func, iterate, truth, Undefined } from "./values.ts";

/** The parts of a `for` statement, as compiled. */
export interface LoopParts {
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

/** Carries out a `for` statement; `depth` counts recursion, from 0. */
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
