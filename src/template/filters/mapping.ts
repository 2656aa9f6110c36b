import { keyOf, makeMap } from "../../core/values/value.ts";
import { item } from "../access.ts";
import { fail } from "../errors.ts";
import { contains, equals } from "../operators.ts";
import {
  asNumber,
  type Callable,
  callable,
  type Dict,
  defined,
  dictEntries,
  dictGet,
  isDict,
  isList,
  iterate,
  str,
  textArgument,
  truth,
  tuple,
  typeName,
  Undefined,
} from "../values.ts";
import { foldCase, sortBy } from "./sequence.ts";

function fallback(value: unknown, otherwise: unknown = "", ifFalse: unknown = false): unknown {
  return value instanceof Undefined || (truth(ifFalse) && !truth(value)) ? otherwise : value;
}

function ternary(value: unknown, whenTrue: unknown, whenFalse: unknown, whenNone: unknown = null): unknown {
  if (value === null && whenNone !== null) return whenNone;
  return truth(value) ? whenTrue : whenFalse;
}

/** Convert as Ansible's `bool` does: yes, on, 1 and true are true, anything else is false. */
function bool(value: unknown): boolean | null {
  if (value === null || typeof value === "boolean") return value;
  return typeof value === "string"
    ? ["yes", "on", "1", "true"].includes(value.toLowerCase())
    : asNumber(value) === 1;
}

/** Filters of any value: defaults, choices and types. */
export const generalFilters: Readonly<Record<string, Callable>> = {
  default: callable(["value", "default_value", "boolean"], fallback),
  d: callable(["value", "default_value", "boolean"], fallback),
  mandatory: callable(["value", "msg"], (value: unknown, message: unknown = null) => {
    if (!(value instanceof Undefined)) return value;
    return fail(message === null ? `mandatory: ${value.message}` : str(message));
  }),
  ternary: callable(["value", "true_val", "false_val", "none_val"], ternary),
  bool: callable(["value"], bool),
  type_debug: callable(["value"], typeName),
};

function mergeLists(left: readonly unknown[], right: readonly unknown[], how: string): unknown[] {
  const without = (items: readonly unknown[], others: readonly unknown[]): unknown[] =>
    items.filter((one) => !contains([...others], one));
  switch (how) {
    case "replace":
      return [...right];
    case "keep":
      return [...left];
    case "append":
      return [...left, ...right];
    case "prepend":
      return [...right, ...left];
    case "append_rp":
      return [...without(left, right), ...right];
    case "prepend_rp":
      return [...right, ...without(left, right)];
    default:
      return fail(`combine has no list_merge '${how}'`);
  }
}

/** Combine two dicts as Ansible's `combine` does: `right` wins. */
function merge(left: Dict, right: Dict, recursive: boolean, listMerge: string): Dict {
  const result = new Map(dictEntries(left));
  for (const [written, value] of dictEntries(right)) {
    const key = keyOf(result, written);
    const before = result.get(key);
    if (recursive && isDict(before) && isDict(value))
      result.set(key, merge(before, value, recursive, listMerge));
    else if (isList(before) && isList(value)) result.set(key, mergeLists(before, value, listMerge));
    else result.set(key, value);
  }
  return result;
}

function dictOf(value: unknown, filter: string): Dict {
  return isDict(value) ? value : fail(`${filter} needs a dict, got ${typeName(defined(value))}`);
}

function subelements(value: unknown, path: unknown, skipMissing: unknown = false): unknown[] {
  const parts = isList(path) ? path.map(str) : str(path).split(".");
  return (isDict(value) ? dictEntries(value).map(([, one]) => one) : iterate(value)).flatMap((element) => {
    let found: unknown = element;
    for (const part of parts) {
      found = item(found, part);
      if (found instanceof Undefined)
        return truth(skipMissing) ? [] : fail(`subelements: an item has no '${part}'`);
    }
    return isList(found)
      ? found.map((one) => tuple(element, one))
      : fail(`subelements: '${parts.join(".")}' is not a list`);
  });
}

function extract(key: unknown, container: unknown, more: unknown = null): unknown {
  const keys = more === null ? [key] : [key, ...(isList(more) ? more : [more])];
  return keys.reduce((value, one) => item(value, one), container);
}

/** Filters of dicts, Jinja's and Ansible's. */
export const mappingFilters: Readonly<Record<string, Callable>> = {
  dictsort: callable(
    ["value", "case_sensitive", "by", "reverse"],
    (value: unknown, exact: unknown = false, by: unknown = "key", reverse: unknown = false) => {
      const at = by === "value" ? 1 : 0;
      const pairs = dictEntries(dictOf(value, "dictsort")).map(([key, one]) => tuple(key, one));
      return sortBy(pairs, (pair) => foldCase((pair as unknown[])[at], truth(exact)), truth(reverse));
    },
  ),
  items: callable(["value"], (value: unknown) =>
    dictEntries(dictOf(value, "items")).map(([key, one]) => tuple(key, one)),
  ),
  dict2items: callable(["value", "key_name", "value_name"], (value: unknown, key?: unknown, name?: unknown) =>
    dictEntries(dictOf(value, "dict2items")).map(
      ([k, v]) =>
        new Map([
          [textArgument(key, "key"), k],
          [textArgument(name, "value"), v],
        ]),
    ),
  ),
  items2dict: callable(["value", "key_name", "value_name"], (value: unknown, key?: unknown, name?: unknown) =>
    makeMap(
      iterate(value).map((one) => [
        defined(item(one, textArgument(key, "key"))),
        defined(item(one, textArgument(name, "value"))),
      ]),
    ),
  ),
  combine: (args, { recursive = false, list_merge: listMerge = "replace" }) => {
    const dicts = args
      .flatMap((arg) => (isList(arg) ? arg.flat(Number.POSITIVE_INFINITY) : [arg]))
      .filter((one) => one !== null)
      .map((one) => dictOf(one, "combine"));
    return dicts.reduce(
      (left, right) => merge(left, right, truth(recursive), str(listMerge)),
      new Map<unknown, unknown>(),
    );
  },
  subelements: callable(["value", "subelements", "skip_missing"], subelements),
  extract: callable(["key", "container", "morekeys"], extract),
  attr: callable(
    ["value", "name"],
    (value: unknown, name: unknown) =>
      new Undefined(`this ${typeName(value)} has no attribute '${str(name)}'`),
  ),
  rekey_on_member: callable(
    ["value", "key", "duplicates"],
    (value: unknown, key: unknown, duplicates: unknown = "error") => {
      const result = new Map<unknown, unknown>();
      for (const one of isDict(value) ? dictEntries(value).map(([, inner]) => inner) : iterate(value)) {
        const found = isDict(one) ? dictGet(one, key) : undefined;
        if (found === undefined) fail(`rekey_on_member: an item has no '${str(key)}'`);
        const own = keyOf(result, found);
        if (result.has(own) && equals(duplicates, "error"))
          fail(`rekey_on_member: '${str(found)}' occurs twice`);
        result.set(own, one);
      }
      return result;
    },
  ),
};
