import { keyOf, numeric } from "../../core/values/value.ts";
import { attributePath, item } from "../access.ts";
import { fail } from "../errors.ts";
import { binary, contains, equals, order } from "../operators.ts";
import {
  type Callable,
  type CallState,
  callable,
  type Dict,
  defined,
  dictEntries,
  dictFrom,
  dictGet,
  intArgument,
  isDict,
  isList,
  iterate,
  type Keywords,
  named,
  str,
  Tuple,
  textArgument,
  truth,
  tuple,
  typeName,
  Undefined,
} from "../values.ts";

/** Return a value for comparisons, which may ignore case. */
function foldCase(value: unknown, caseSensitive: boolean): unknown {
  return typeof value === "string" && !caseSensitive ? value.toLowerCase() : value;
}

/** Return the part of an item that a filter's `attribute` names; without one the item itself. */
function pick(value: unknown, attribute: unknown, fallback?: unknown): unknown {
  if (attribute === undefined || attribute === null) return value;
  const found = attributePath(value, attribute);
  return found instanceof Undefined && fallback !== undefined ? fallback : found;
}

/** Sort by keys, stably; each key is computed once. */
function sortBy(items: readonly unknown[], key: (item: unknown) => unknown, reverse: boolean): unknown[] {
  const keyed = items.map((item) => ({ item, key: defined(key(item)) }));
  keyed.sort((a, b) => (reverse ? order(b.key, a.key) : order(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

function sort(
  value: unknown,
  reverse: unknown = false,
  caseSensitive: unknown = false,
  attribute: unknown = null,
): unknown[] {
  const exact = truth(caseSensitive);
  const paths = typeof attribute === "string" ? attribute.split(",") : [attribute];
  const key = (item: unknown): unknown => {
    const keys = paths.map((path) => foldCase(defined(pick(item, path)), exact));
    return keys.length === 1 ? keys[0] : keys;
  };
  return sortBy(iterate(value), key, truth(reverse));
}

function extreme(sign: number) {
  return (value: unknown, caseSensitive: unknown = false, attribute: unknown = null): unknown => {
    const items = iterate(value);
    const key = (item: unknown): unknown => foldCase(pick(item, attribute), truth(caseSensitive));
    if (items.length === 0) return new Undefined("no value: the sequence is empty");
    return items.reduce((best, item) => (sign * order(key(item), key(best)) > 0 ? item : best));
  };
}

/** Return what the items of `a` are looked for in: a text as a whole for those of a list, of which Python makes no set. */
function searched(a: unknown, b: unknown): unknown {
  return typeof b === "string" && typeof a !== "string" ? b : [...iterate(b)];
}

/** Return the items without repeated ones. */
function distinct(items: readonly unknown[], key: (item: unknown) => unknown = (item) => item): unknown[] {
  const seen: unknown[] = [];
  const simple = new Set<unknown>();
  return items.filter((item) => {
    const found = key(item);
    const value = numeric(found) ?? found;
    if (typeof value === "string" || typeof value === "number" || typeof value === "bigint")
      return simple.has(value) ? false : simple.add(value);
    if (seen.some((other) => equals(other, value))) return false;
    seen.push(value);
    return true;
  });
}

function unique(value: unknown, caseSensitive: unknown, attribute: unknown): unknown[] {
  const exact = caseSensitive !== undefined && truth(caseSensitive);
  const isPlain = caseSensitive === undefined && attribute === undefined;
  return distinct(iterate(value), (item) => {
    const key = pick(item, attribute);
    if (!isPlain && (isDict(key) || (isList(key) && !(key instanceof Tuple))))
      fail(
        `Jinja2's unique filter failed and we cannot fall back to Ansible's version as it does not support the parameters supplied: unhashable type: '${typeName(key)}'`,
      );
    return foldCase(key, exact);
  });
}

function batch(items: readonly unknown[], size: number, fill: unknown): unknown[][] {
  const rows: unknown[][] = [];
  for (let start = 0; start < items.length; start += size) rows.push(items.slice(start, start + size));
  const last = rows.at(-1);
  if (last !== undefined && fill !== undefined && fill !== null) while (last.length < size) last.push(fill);
  return rows;
}

function slices(items: readonly unknown[], count: number, fill: unknown): unknown[][] {
  const [base, extra] = [Math.floor(items.length / count), items.length % count];
  let start = 0;
  return Array.from({ length: count }, (_, index) => {
    const end = start + base + (index < extra ? 1 : 0);
    const row = items.slice(start, end);
    start = end;
    if (fill !== undefined && fill !== null && index >= extra) row.push(fill);
    return row;
  });
}

function flatten(value: unknown, levels: number | null, skipNulls: boolean): unknown[] {
  const result: unknown[] = [];
  for (const item of iterate(value)) {
    if (skipNulls && (item === null || item === "None" || item === "null")) continue;
    if (isList(item) && levels !== 0)
      result.push(...flatten(item, levels === null ? null : levels - 1, skipNulls));
    else result.push(item);
  }
  return result;
}

function product(lists: readonly unknown[][]): unknown[][] {
  return lists.reduce<unknown[][]>(
    (rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])),
    [[]],
  );
}

function zip(lists: readonly unknown[][], size: number, fill: unknown): Tuple[] {
  return Array.from({ length: size }, (_, index) =>
    tuple(...lists.map((list) => (index < list.length ? list[index] : fill))),
  );
}

function combinations(items: readonly unknown[], size: number): unknown[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) =>
    combinations(items.slice(index + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

function permutations(items: readonly unknown[], size: number): unknown[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(
      items.filter((_, at) => at !== index),
      size - 1,
    ).map((rest) => [item, ...rest]),
  );
}

function length(value: unknown): number {
  if (typeof value === "string") return [...value].length;
  if (isList(value)) return value.length;
  return isDict(value) ? dictEntries(value).length : fail(`object of type '${typeName(value)}' has no len()`);
}

const lists = (args: readonly unknown[]): unknown[][] => args.map((arg) => [...iterate(arg)]);

/** Filters of lists: Jinja's, and Ansible's set and combination filters. */
export const sequenceFilters: Readonly<Record<string, Callable>> = {
  length: callable(["value"], length),
  count: callable(["value"], length),
  list: callable(["value"], (value: unknown) => [...iterate(value)]),
  first: callable(["value"], (value: unknown) => {
    const [first] = iterate(value);
    return first === undefined ? new Undefined("there is no first item: the sequence is empty") : first;
  }),
  last: callable(["value"], (value: unknown) => {
    const last = iterate(value).at(-1);
    return last === undefined ? new Undefined("there is no last item: the sequence is empty") : last;
  }),
  join: callable(["value", "d", "attribute"], (value: unknown, by: unknown = "", attribute: unknown = null) =>
    iterate(value)
      .map((item) => str(pick(item, attribute)))
      .join(str(by)),
  ),
  reverse: callable(["value"], (value: unknown) =>
    typeof value === "string" ? [...value].reverse().join("") : [...iterate(value)].reverse(),
  ),
  sort: callable(["value", "reverse", "case_sensitive", "attribute"], sort),
  min: callable(["value", "case_sensitive", "attribute"], extreme(-1)),
  max: callable(["value", "case_sensitive", "attribute"], extreme(1)),
  sum: callable(
    ["value", "attribute", "start"],
    (value: unknown, attribute: unknown = null, start: unknown = 0) =>
      iterate(value).reduce((total, item) => binary("+", total, pick(item, attribute)), start),
  ),
  unique: callable(["value", "case_sensitive", "attribute"], unique),
  batch: callable(["value", "linecount", "fill_with"], (value: unknown, size: unknown, fill: unknown) =>
    batch(iterate(value), intArgument(size, 1), fill),
  ),
  slice: callable(["value", "slices", "fill_with"], (value: unknown, count: unknown, fill: unknown) =>
    slices(iterate(value), intArgument(count, 1), fill),
  ),
  groupby: callable(
    ["value", "attribute", "default", "case_sensitive"],
    (value: unknown, attribute: unknown, fallback: unknown, caseSensitive: unknown = false) => {
      const key = (item: unknown): unknown => defined(pick(item, attribute, fallback));
      const folded = (item: unknown): unknown => foldCase(key(item), truth(caseSensitive));
      const groups: { key: unknown; items: unknown[] }[] = [];
      for (const item of sortBy(iterate(value), folded, false)) {
        const group = groups.at(-1);
        if (group !== undefined && equals(foldCase(group.key, truth(caseSensitive)), folded(item)))
          group.items.push(item);
        else groups.push({ key: key(item), items: [item] });
      }
      return groups.map((group) => named(["grouper", "list"], group.key, group.items));
    },
  ),
  flatten: callable(
    ["value", "levels", "skip_nulls"],
    (value: unknown, levels: unknown = null, skip: unknown = true) =>
      flatten(value, levels === null ? null : intArgument(levels, 0), truth(skip)),
  ),
  zip: (args) => zip(lists(args), Math.min(...lists(args).map((list) => list.length)), null),
  zip_longest: (args, { fillvalue = null }) =>
    zip(lists(args), Math.max(...lists(args).map((list) => list.length)), fillvalue),
  product: (args, { repeat }) =>
    product(Array.from({ length: intArgument(repeat, 1) }, () => lists(args)).flat()).map((row) =>
      tuple(...row),
    ),
  combinations: callable(["value", "size"], (value: unknown, size: unknown) =>
    combinations(
      iterate(value),
      size === undefined
        ? fail("combinations() missing required argument 'r' (pos 2)")
        : intArgument(size, 2),
    ).map((row) => tuple(...row)),
  ),
  permutations: callable(["value", "size"], (value: unknown, size: unknown) =>
    permutations(iterate(value), intArgument(size, iterate(value).length)).map((row) => tuple(...row)),
  ),
  union: callable(["a", "b"], (a: unknown, b: unknown) => distinct([...iterate(a), ...iterate(b)])),
  intersect: callable(["a", "b"], (a: unknown, b: unknown) =>
    distinct(iterate(a)).filter((item) => contains(searched(a, b), item)),
  ),
  difference: callable(["a", "b"], (a: unknown, b: unknown) =>
    distinct(iterate(a)).filter((item) => !contains(searched(a, b), item)),
  ),
  symmetric_difference: callable(["a", "b"], (a: unknown, b: unknown) => {
    const [left, right] = [[...iterate(a)], [...iterate(b)]];
    return distinct([...left, ...right]).filter((item) => !(contains(left, item) && contains(right, item)));
  }),
};

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
  return iterate(value).map((item) =>
    filter(isLenient ? [item, ...rest] : [item, ...rest].map(defined), keywords, state),
  );
}

function select(wanted: boolean, byAttribute: boolean): Callable {
  return ([value, ...args], keywords, state) => {
    const path = byAttribute ? args.shift() : undefined;
    const [name, ...rest] = args;
    const test = name === undefined ? null : state.test(str(name));
    const given = name === "sameas" ? (each: unknown) => each : defined;
    return iterate(value).filter((item) => {
      const tested = byAttribute ? attributePath(item, path) : item;
      return (
        (test === null ? truth(tested) : truth(test([tested, ...rest.map(given)], keywords, state))) ===
        wanted
      );
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

const LIST_MERGE =
  "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'";

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
      return fail(LIST_MERGE);
  }
}

/** Combine two dicts as Ansible's `combine` does: `right` wins. */
export function mergeDicts(left: Dict, right: Dict, recursive: boolean, listMerge: string): Dict {
  const result = new Map(dictEntries(left));
  for (const [written, value] of dictEntries(right)) {
    const key = keyOf(result, written);
    const before = result.get(key);
    if (recursive && isDict(before) && isDict(value))
      result.set(key, mergeDicts(before, value, recursive, listMerge));
    else if (isList(before) && isList(value)) result.set(key, mergeLists(before, value, listMerge));
    else result.set(key, value);
  }
  return result;
}

function dictOf(value: unknown, filter: string): Dict {
  if (isDict(value)) return value;
  const type = typeName(defined(value));
  return fail(
    filter === "combine"
      ? `failed to combine variables, expected dicts but got a '${type}'`
      : `${filter} requires a dictionary, got <class '${type}'> instead.`,
  );
}

function listOf(value: unknown, filter: string): unknown[] {
  return isList(value)
    ? value
    : fail(`${filter} requires a list, got <class '${typeName(defined(value))}'> instead.`);
}

function subelements(value: unknown, path: unknown, skipMissing: unknown = false): unknown[] {
  if (!isDict(value) && !isList(value)) return fail("obj must be a list of dicts or a nested dict");
  if (!isList(path) && typeof path !== "string") return fail("subelements must be a list or a string");
  const parts = isList(path) ? path.map(str) : path.split(".");
  return (isDict(value) ? dictEntries(value).map(([, one]) => one) : value).flatMap((element) => {
    let found: unknown = element;
    for (const part of parts) {
      if (!isDict(found)) fail(`the key ${part} should point to a dictionary, got '${str(found)}'`);
      const inner = item(found, part);
      if (inner instanceof Undefined)
        return truth(skipMissing) ? [] : fail(`could not find '${part}' key in iterated item ${str(found)}`);
      found = inner;
    }
    return isList(found)
      ? found.map((one) => tuple(element, one))
      : fail(`the key '${parts.at(-1)}' should point to a list, got '${str(found)}'`);
  });
}

function items2dict(value: unknown, key: unknown, name: unknown): Map<unknown, unknown> {
  const [keyName, valueName] = [textArgument(key, "key"), textArgument(name, "value")];
  const items = listOf(value, "items2dict");
  if (!items.every(isDict))
    return fail(`items2dict requires a list of dictionaries, got ${str(items)} instead.`);
  return dictFrom(
    items.map((one) => {
      const pair: [unknown, unknown] = [dictGet(one, keyName), dictGet(one, valueName)];
      if (pair.includes(undefined))
        fail(
          `items2dict requires each dictionary in the list to contain the keys '${keyName}' and '${valueName}', got ${str(items)} instead.`,
        );
      return pair;
    }),
  );
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
  items2dict: callable(["value", "key_name", "value_name"], items2dict),
  combine: (args, { recursive = false, list_merge: listMerge = "replace", ...unknown }) => {
    if (Object.keys(unknown).length > 0)
      fail("'recursive' and 'list_merge' are the only valid keyword arguments");
    if (!/^(?:replace|keep|(?:append|prepend)(?:_rp)?)$/.test(str(listMerge))) fail(LIST_MERGE);
    const dicts = args
      .flatMap((arg) => (isList(arg) ? [...arg] : [arg]))
      .filter((one) => one !== null)
      .map((one) => dictOf(one, "combine"));
    return dicts.reduce(
      (left, right) => mergeDicts(left, right, truth(recursive), str(listMerge)),
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
};
