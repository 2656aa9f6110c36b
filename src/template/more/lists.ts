import { keyOf, makeMap } from "../../core/values/value.ts";
import { attributePath, item } from "../access.ts";
import { fail } from "../errors.ts";
import { mergeDicts } from "../filters/collection.ts";
import { contains, equals } from "../operators.ts";
import {
  type Callable,
  type CallState,
  callable,
  type Dict,
  defined,
  dictEntries,
  dictFrom,
  dictGet,
  isDict,
  isList,
  iterate,
  type Keywords,
  str,
  truth,
  typeName,
  Undefined,
} from "../values.ts";
import { compareLoose } from "../versions.ts";
import { readCsv } from "./csv.ts";

function counter(value: unknown): Map<unknown, unknown> {
  if (typeof value !== "string" && !isList(value))
    fail(
      `Argument for community.general.counter must be a sequence (string or list). ${str(value)} is ${typeName(value)}`,
    );
  const counts = new Map<unknown, unknown>();
  for (const one of iterate(value)) {
    const key = keyOf(counts, defined(one));
    counts.set(key, Number(counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function groupByAsDict(value: unknown, attribute: unknown): Map<unknown, unknown> {
  if (!isList(value)) fail("Input is not a sequence");
  const groups = new Map<unknown, unknown>();
  iterate(value).forEach((one, index) => {
    if (!isDict(one)) fail(`Sequence element #${index} is not a mapping`);
    const found = dictGet(one as Dict, attribute);
    if (found === undefined) fail(`Attribute not contained in element #${index} of sequence`);
    const key = keyOf(groups, found);
    if (groups.has(key)) fail(`Multiple sequence entries have attribute value ${str(found)}`);
    groups.set(key, one);
  });
  return groups;
}

/** Merge lists of dicts: those with the same value of `index` become one, as `combine` does it. */
const mergeListsBy: Callable = (args, options) => {
  const [last] = args.slice(-1);
  const isPositional = options.index === undefined && typeof last === "string";
  const index = isPositional ? last : (options.index ?? fail("lists_mergeby: missing argument: index"));
  const given = isPositional ? args.slice(0, -1) : args;
  const lists = given.flatMap((one) => (isList(one) && one.every(isList) && one.length > 0 ? one : [one]));
  const merged = new Map<unknown, Dict>();
  for (const list of lists) {
    if (!isList(list))
      fail(`All arguments before the argument index must be lists. ${str(list)} is ${typeName(list)}`);
    for (const one of iterate(list)) {
      const dict = isDict(one)
        ? one
        : fail(`Elements of list arguments must be dictionaries. Found ${str(one)}.`);
      const found = dictGet(dict, index);
      if (found === undefined) continue;
      const key = keyOf(merged, found);
      const before = merged.get(key);
      merged.set(
        key,
        before === undefined
          ? dict
          : mergeDicts(before, dict, truth(options.recursive ?? false), str(options.list_merge ?? "replace")),
      );
    }
  }
  return [...merged.values()].sort((a, b) => {
    const [left, right] = [dictGet(a, index), dictGet(b, index)];
    return typeof left === "string" || typeof right === "string"
      ? str(left) < str(right)
        ? -1
        : Number(str(left) > str(right))
      : Number(left) - Number(right);
  });
};

/** Make a filter of several lists: of its arguments or, with `flatten`, of the lists in them. */
function ofLists(combine: (left: unknown[], right: unknown[]) => unknown[]): Callable {
  return (args, { flatten = false }) => {
    const lists = truth(flatten) ? args.flatMap((one) => iterate(one)) : args;
    const [first = [], ...rest] = lists.map((list) => unique(iterate(list)));
    return rest.reduce(combine, first);
  };
}

function unique(items: readonly unknown[]): unknown[] {
  const kept: unknown[] = [];
  for (const one of items) if (!contains(kept, one)) kept.push(one);
  return kept;
}

const without = (left: unknown[], right: unknown[]): unknown[] => left.filter((one) => !contains(right, one));

type Matches = (key: string, target: string) => boolean;

const MATCHES: Readonly<Record<string, Matches>> = {
  equality: (key, target) => key === target,
  starts_with: (key, target) => key.startsWith(target),
  ends_with: (key, target) => key.endsWith(target),
  regex: (key, target) => new RegExp(target, "u").test(key),
};

function matcher(name: unknown): Matches {
  return MATCHES[str(name)] ?? fail(`there is no matching_parameter '${str(name)}'`);
}

/** Keep or remove keys: at any depth, and what contains a kept key, too. */
function chooseKeys(isKept: boolean): Callable {
  return callable(
    ["data", "target", "matching_parameter"],
    (data: unknown, target: unknown, how: unknown = "equality") => {
      const targets = (isList(target) ? target : [target]).map(str);
      const matches = matcher(how);
      const holds = (key: unknown): boolean => targets.some((one) => matches(str(key), one));
      const remove = (value: unknown): unknown => {
        if (isList(value)) return value.map(remove);
        if (!isDict(value)) return value;
        return makeMap(
          dictEntries(value)
            .filter(([key]) => !holds(key))
            .map(([key, inner]) => [key, remove(inner)]),
        );
      };
      const keep = (value: unknown): unknown => {
        if (isList(value)) return value.map(keep).filter((one) => one !== undefined);
        if (!isDict(value)) return undefined;
        const entries = dictEntries(value)
          .map(([key, inner]): [unknown, unknown] => [key, holds(key) ? inner : keep(inner)])
          .filter(([, inner]) => inner !== undefined);
        return entries.length === 0 ? undefined : makeMap(entries);
      };
      return isKept ? (keep(data) ?? (isList(data) ? [] : new Map())) : remove(data);
    },
  );
}

function replaceKeys(data: unknown, target: unknown, how: unknown = "equality"): unknown {
  const matches = matcher(how);
  const targets = iterate(target).map((one) => [str(item(one, "before")), str(item(one, "after"))] as const);
  const replace = (value: unknown): unknown => {
    if (isList(value)) return value.map(replace);
    if (!isDict(value)) return value;
    return makeMap(
      dictEntries(value).map(([key, inner]) => {
        const found = targets.find(([before]) => matches(str(key), before));
        return [found === undefined ? key : found[1], replace(inner)];
      }),
    );
  };
  return replace(data);
}

/** Name every value below another by its path: `a.b[0]`, `a['b c']`. */
function toPaths(value: unknown, prepend: unknown = null): Map<unknown, unknown> {
  const paths = new Map<unknown, unknown>();
  const walk = (inner: unknown, path: string): void => {
    if (isList(inner) && inner.length > 0)
      for (const [index, one] of inner.entries()) walk(one, `${path}[${index}]`);
    else if (isDict(inner) && dictEntries(inner).length > 0)
      for (const [key, one] of dictEntries(inner)) {
        const isName = typeof key === "string" && /^[A-Za-z_]\w*$/.test(key);
        walk(
          one,
          isName
            ? `${path}${path === "" ? "" : "."}${key}`
            : `${path}[${typeof key === "string" ? `'${key}'` : str(key)}]`,
        );
      }
    else paths.set(path, inner);
  };
  walk(value, prepend === null ? "" : str(prepend));
  return paths;
}

function getPath(value: unknown, path: unknown, wantList: unknown = false): unknown {
  const parts = str(path).match(/\[\s*(?:'[^']*'|"[^"]*"|-?\d+)\s*\]|[^.[\]]+/g) ?? [];
  let current = value;
  for (const part of parts) {
    const inner = /^\[\s*(?:(['"])(.*)\1|(-?\d+))\s*\]$/.exec(part);
    current = item(current, inner === null ? part : (inner[2] ?? Number(inner[3])));
  }
  return truth(wantList) ? [defined(current)] : current;
}

const indexOf: Callable = (args, options, state: CallState) => {
  const [data, test, value, key] = args;
  const { key: byName = key, fail_on_missing: strict = false, wantlist = false } = options;
  const call = state.test(str(options.test ?? test));
  const expected = options.value ?? value;
  const found = iterate(data).flatMap((one, index) => {
    const tested = byName === undefined || byName === null ? one : attributePath(one, byName);
    if (tested instanceof Undefined) {
      if (truth(strict)) fail(`'${str(byName)}' was not found in '${str(one)}' at [${index}]`);
      return [];
    }
    return truth(call(expected === undefined ? [tested] : [tested, expected], {}, state)) ? [index] : [];
  });
  return found.length === 1 && !truth(wantlist) ? found[0] : found;
};

const pairs = (value: unknown): [unknown, unknown][] =>
  iterate(value).map((pair, index) => {
    const parts = isList(pair) || typeof pair === "string" ? iterate(pair) : [];
    return parts.length === 2
      ? [parts[0], parts[1]]
      : fail(`cannot convert dictionary update sequence element #${index} to a sequence`);
  });

const fromCsv: Callable = ([content], options: Keywords) => readCsv(str(content), options);

/** Filters of lists and dicts from `community.general` and `ansible.utils`. */
export const listFilters: Readonly<Record<string, Callable>> = {
  counter: callable(["value"], counter),
  dict: callable(["value"], (value: unknown) => dictFrom(pairs(value))),
  dict_kv: callable(["value", "key"], (value: unknown, key: unknown) => new Map([[key, value]])),
  from_csv: fromCsv,
  groupby_as_dict: callable(["value", "attribute"], groupByAsDict),
  lists_mergeby: mergeListsBy,
  lists_union: ofLists((left, right) => unique([...left, ...right])),
  lists_intersect: ofLists((left, right) => left.filter((one) => contains(right, one))),
  lists_difference: ofLists(without),
  lists_symmetric_difference: ofLists((left, right) => [...without(left, right), ...without(right, left)]),
  keep_keys: chooseKeys(true),
  remove_keys: chooseKeys(false),
  replace_keys: callable(["data", "target", "matching_parameter"], replaceKeys),
  to_paths: callable(["value", "prepend", "wantlist"], toPaths),
  get_path: callable(["value", "path", "wantlist"], getPath),
  index_of: indexOf,
  version_sort: callable(["value", "reverse"], (value: unknown, reverse: unknown = false) => {
    const sorted = [...iterate(value)].sort((a, b) => compareLoose(str(a), str(b)));
    return truth(reverse) ? sorted.reverse() : sorted;
  }),
  rekey_on_member: callable(
    ["value", "key", "duplicates"],
    (value: unknown, key: unknown, duplicates: unknown = "error") => {
      if (duplicates !== "error" && duplicates !== "overwrite")
        fail(`duplicates parameter to rekey_on_member has unknown value: ${str(duplicates)}`);
      if (!isDict(value) && !isList(value)) fail("Type is not a valid list, set, or dict");
      const result = new Map<unknown, unknown>();
      for (const one of isDict(value) ? dictEntries(value).map(([, inner]) => inner) : iterate(value)) {
        if (!isDict(one)) fail("List item is not a valid dict");
        const found = dictGet(one as Dict, key);
        if (found === undefined) fail(`Key ${str(key)} was not found`);
        const own = keyOf(result, found);
        if (result.has(own) && equals(duplicates, "error"))
          fail(`Key ${str(found)} is not unique, cannot correctly turn into dict`);
        result.set(own, one);
      }
      return result;
    },
  ),
};
