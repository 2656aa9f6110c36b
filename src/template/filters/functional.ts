import { attributePath } from "../attributes.ts";
import { fail } from "../errors.ts";
import { str } from "../repr.ts";
import {
  type Callable,
  type CallState,
  defined,
  iterate,
  type Keywords,
  truth,
  Undefined,
} from "../values.ts";

function map(args: readonly unknown[], keywords: Keywords, state: CallState): unknown[] {
  const [value, name, ...rest] = args;
  if (name === undefined) {
    const { attribute = fail("map needs a filter's name or an attribute"), default: fallback } = keywords;
    return iterate(value).map((item) => {
      const found = attributePath(item, attribute);
      return found instanceof Undefined && fallback !== undefined ? fallback : found;
    });
  }
  const filter = state.filter(str(name));
  const isLenient = ["default", "d", "mandatory"].includes(str(name));
  return iterate(value).map((item) => filter([isLenient ? item : defined(item), ...rest], keywords, state));
}

function select(wanted: boolean, byAttribute: boolean): Callable {
  return ([value, ...args], keywords, state) => {
    const path = byAttribute ? args.shift() : undefined;
    const [name, ...rest] = args;
    const test = name === undefined ? null : state.test(str(name));
    return iterate(value).filter((item) => {
      const tested = byAttribute ? attributePath(item, path) : item;
      return (test === null ? truth(tested) : truth(test([tested, ...rest], keywords, state))) === wanted;
    });
  };
}

/** Jinja's filters that apply another filter or test to every item. */
export const functionalFilters: Readonly<Record<string, Callable>> = {
  map,
  select: select(true, false),
  reject: select(false, false),
  selectattr: select(true, true),
  rejectattr: select(false, true),
};
