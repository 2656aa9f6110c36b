import { messageOf } from "../core/errors.ts";
import { matchesGlob, setGlobPieces } from "../core/unix/shell.ts";
import { pythonRegex } from "../core/values/python-regex.ts";
import { beginsAnew, fail, locate } from "./errors.ts";
import { datetime, wallClock } from "./filters/date.ts";
import { formatPercent } from "./format.ts";
import { lookedUpText, missing } from "./lookup-text.ts";
import { moreLookup } from "./more/index.ts";
import { inMore, shortName } from "./names.ts";
import {
  asNumber,
  type Callable,
  type CallState,
  callable,
  defined,
  dictEntries,
  dictFrom,
  dictGet,
  Func,
  isDict,
  isInt,
  isList,
  iterate,
  type Keywords,
  keywords,
  Namespace,
  readLiteral,
  str,
  toNative,
  toValue,
  truth,
  tuple,
  Undefined,
} from "./values.ts";

function variable(term: unknown, keywords: Keywords, state: CallState): unknown {
  const name =
    typeof term === "string" ? term : fail(`Invalid setting identifier, "${str(term)}" is not a string`);
  const value = Object.hasOwn(state.vars, name) ? state.vars[name] : undefined;
  if (value !== undefined) return value;
  return "default" in keywords ? keywords.default : fail(`No variable found with this name: ${name}`);
}

function variableNames(terms: readonly unknown[], state: CallState): unknown[] {
  const patterns = terms.map((term) =>
    typeof term === "string"
      ? patternOf(term)
      : fail(`Invalid setting identifier, "${str(term)}" is not a string`),
  );
  return patterns.flatMap((pattern) => Object.keys(state.vars).filter((name) => pattern.test(name)));
}

function patternOf(term: string): ReturnType<typeof pythonRegex> {
  try {
    return pythonRegex(term, { unicode: true });
  } catch (thrown) {
    return fail(`Unable to use "${term}" as a search parameter: ${messageOf(thrown)}`);
  }
}

const entries = (terms: readonly unknown[]): unknown[] =>
  terms.flatMap((term) =>
    isDict(term)
      ? dictEntries(term).map(
          ([key, value]) =>
            new Map([
              ["key", key],
              ["value", value],
            ]),
        )
      : fail("with_dict expects a dict"),
  );

/** Return the lists of a lookup that needs at least one. */
function someLists(lookup: string, terms: readonly unknown[], where: string): unknown[][] {
  if (terms.length === 0) fail(`${lookup} requires at least one element in ${where}`);
  return terms.map((term) => [...iterate(term)]);
}

function nested(terms: readonly unknown[]): unknown[][] {
  // As in Ansible, lists within a list are taken apart, once.
  return someLists("with_nested", terms, "the nested list").reduce<unknown[][]>(
    (rows, list) => rows.flatMap((row) => list.map((one) => [...row, ...(isList(one) ? one : [one])])),
    [[]],
  );
}

const SHORTCUT = /^\s*(?:(0?x?[\da-f]+)-)?(0?x?[\da-f]+)(?:\/(0?x?[\da-f]+))?(?::(.+))?\s*$/is;

function sequenceNumber(name: string, written: string | number): number {
  const text = String(written);
  // As in C, a leading zero means an octal number.
  const number = /^-?0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return Number.isInteger(number) ? number : fail(`can't parse ${name}=${text} as integer`);
}

/** Expand `start=1 end=5 stride=2 format=%02d`, `count=3` or `1-10/2:%02d`; ends are included. */
function sequence(term: string): string[] {
  const given = new Map<string, string>();
  const shortcut = SHORTCUT.exec(term);
  if (shortcut !== null) {
    const [, from, to = "", by, format] = shortcut;
    given.set("end", to);
    if (from !== undefined) given.set("start", from);
    if (by !== undefined) given.set("stride", by);
    if (format !== undefined) given.set("format", format);
  } else {
    const unknown: string[] = [];
    for (const word of term.split(/\s+/).filter((one) => one !== "")) {
      const [, name = "_raw_params", value = ""] = /^(\w+)=(.*)$/s.exec(word) ?? [];
      if (!["start", "end", "count", "stride", "format"].includes(name)) unknown.push(`'${name}'`);
      given.set(name, value);
    }
    if (unknown.length > 0) fail(`unrecognized arguments to with_sequence: [${unknown.join(", ")}]`);
  }
  const number = (name: string, fallback: number): number =>
    sequenceNumber(name, given.get(name) ?? fallback);
  const [start, stride, format] = [number("start", 1), number("stride", 1), given.get("format") ?? "%d"];
  const counted = given.has("count");
  if (counted === given.has("end"))
    fail(
      counted
        ? "can't specify both count and end in with_sequence"
        : "must specify count or end in with_sequence",
    );
  if (!/^(?:[^%]|%%)*%[^%]*$/.test(format)) fail(`bad formatting string: ${format}`);
  if (stride === 0) return [];
  const end = counted ? start + (number("count", 0) - 1) * stride : number("end", 0);
  if (!counted && stride > 0 && end < start) fail("to count backwards make stride negative");
  if (!counted && stride < 0 && end > start) fail("to count forward don't make stride negative");
  const size = counted ? number("count", 0) : Math.max(0, Math.floor((end - start) / stride) + 1);
  return Array.from({ length: size }, (_, index) => formatPercent(format, start + index * stride));
}

/** One entry of `first_found`: the names of a dict below each of its paths. */
interface Candidates {
  readonly names: readonly string[];
  readonly skips: boolean;
}

function candidatesOf(terms: readonly unknown[], options: Keywords): Candidates {
  const words = (value: unknown, by: RegExp): string[] =>
    (isList(value) ? value.map(str) : str(value).split(by))
      .map((word) => word.trim())
      .filter((word) => word !== "");
  const below = (paths: readonly string[], files: readonly string[]): string[] =>
    paths.length === 0
      ? [...files]
      : paths.flatMap((path) => files.map((file) => `${path.replace(/\/+$/, "")}/${file}`));
  let skips = truth(options.skip ?? false);
  const names = terms.flatMap((term): string[] => {
    if (!isDict(term)) {
      if (isList(term)) {
        const inner = candidatesOf(term, options);
        skips ||= inner.skips;
        return [...inner.names];
      }
      return below(words(options.paths ?? [], /[,:;]/), words(term, /[,;]/));
    }
    skips ||= truth(dictGet(term, "skip") ?? false);
    const files = words(dictGet(term, "files") ?? [], /[,;]/);
    return below(words(dictGet(term, "paths") ?? [], /[,:;]/), files);
  });
  return { names, skips };
}

/** Find the first file that there is: among the assets, otherwise on the controller. */
const firstFound: Callable = (terms, options, state) => {
  const { _subdirectory: directory = "files", ...given } = options;
  const { names, skips } = candidatesOf(terms, given);
  const kind = str(directory);
  const here = names.findIndex((name) => state.findFile(name, kind) !== null);
  // The assets hold all that lies in the role and the playbook, not what lies elsewhere.
  const elsewhere = here < 0 ? names : names.slice(0, here).filter((name) => /^[/~]|\.\.\//.test(name));
  const [asked] =
    elsewhere.length === 0 ? [] : (state.ask?.("first_found", elsewhere, { subdirectory: kind }) ?? []);
  if (asked !== undefined) return [asked];
  if (here >= 0) return [state.findFile(names[here]!, kind)];
  return skips ? [] : fail("No file was found when using first_found.");
};

function subelements(terms: readonly unknown[]): unknown[] {
  const [value, path, flags = new Map()] = terms;
  if (terms.length < 2 || terms.length > 3) fail("subelements lookup expects a list of two or three items");
  if (typeof path !== "string")
    fail("subelements lookup expects two items, first a dict or a list, second a string");
  if (!isDict(value) && !isList(value)) fail(`subelements lookup expects a dictionary, got '${str(value)}'`);
  // Other keys are passed over: Ansible's documentation has `flags:` without a value beside `skip_missing`.
  if (!isDict(flags)) fail("the optional third item must be a dict with flags ('skip_missing',)");
  // As in Ansible, the result of a task that was skipped has no elements.
  if (isDict(value) && dictGet(value, "skipped") !== undefined) return [];
  const skips = isDict(flags) && truth(dictGet(flags, "skip_missing") ?? false);
  const keys = str(path).split(".");
  const elements = isDict(value) ? dictEntries(value).map(([, one]) => one) : iterate(value);
  return elements.flatMap((element) => {
    if (!isDict(element)) return fail(`subelements lookup expects a dictionary, got '${str(element)}'`);
    if (dictGet(element, "skipped") !== undefined && truth(dictGet(element, "skipped"))) return [];
    /** Return the list at the keys, and the element without it. */
    const take = (dict: unknown, at: number): [unknown[], unknown] | null => {
      const key = keys[at]!;
      if (!isDict(dict))
        return skips
          ? null
          : fail(`the key ${keys[at - 1]} should point to a dictionary, got '${str(dict)}'`);
      const inner = dictGet(dict, key);
      if (inner === undefined)
        return skips ? null : fail(`could not find '${key}' key in iterated item '${str(dict)}'`);
      const rest = new Map(dictEntries(dict));
      if (at === keys.length - 1) {
        if (!isList(inner)) return fail(`the key ${key} should point to a list, got '${str(inner)}'`);
        rest.delete(key);
        return [inner, rest];
      }
      const taken = take(inner, at + 1);
      if (taken === null) return null;
      rest.set(key, taken[1]);
      return [taken[0], rest];
    };
    const taken = take(element, 0);
    return taken === null ? [] : taken[0].map((one) => tuple(taken[1], one));
  });
}

/** List the files in one directory whose names match, as the playbook's author would name them in `src`. */
function glob(term: string, list: (directory: string) => readonly string[]): string[] {
  const [, directory = "", pattern = ""] = /^(.*?\/?)([^/]*)$/s.exec(term) ?? [];
  const pieces = setGlobPieces(pattern, "fnmatch");
  const isHidden = (name: string): boolean => name.startsWith(".") && !pattern.startsWith(".");
  return list(directory)
    .filter((name) => !name.includes("/") && !isHidden(name) && matchesGlob(pieces, name))
    .map((name) => `${directory}${name}`);
}

/** The options of the lookup `template` that name marks of tags. */
const MARK = /^(?:variable|block|comment)_(?:start|end)_string$/;

/** Every built-in lookup. Each returns a list, as in Ansible. */
const lookups: Readonly<Record<string, Callable>> = {
  env: (terms, options, { env, ask }) => {
    const { default: fallback = "" } = options;
    return terms.map((term) => {
      const name = str(term);
      const value = ask === undefined ? env[name] : ask("env", [name], {})[0];
      if (typeof value === "string") return value;
      return fallback instanceof Undefined
        ? fail(`The "env" lookup, found an undefined variable: ${name}`)
        : fallback;
    });
  },
  vars: (terms, keywords, state) => terms.map((term) => variable(term, keywords, state)),
  varnames: (terms, _keywords, state) => variableNames(terms, state),
  dict: (terms) => entries(terms),
  items: (terms) => terms.flatMap((term) => (isList(term) ? term : [term])),
  list: (terms) => [...terms],
  flattened: (terms) => terms.flat(Number.POSITIVE_INFINITY),
  indexed_items: (terms) =>
    terms.flatMap((term) => (isList(term) ? term : [term])).map((term, index) => tuple(index, term)),
  together: (terms) => {
    const lists = someLists("with_together", terms, "each list").map((list) =>
      list.flatMap((one) => (isList(one) ? one : [one])),
    );
    return Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, index) =>
      lists.map((list) => list[index] ?? null),
    );
  },
  nested,
  cartesian: nested,
  subelements,
  sequence: (terms) => terms.flatMap((term) => sequence(str(term))),
  first_found: firstFound,
  template: (terms, { convert_data: convert = true, template_vars: vars = null, ...given }, state) => {
    const marks = Object.fromEntries(
      Object.entries(given)
        .filter(([name]) => MARK.test(name))
        .map(([name, value]) => [name, str(value)]),
    );
    return terms.map((term) => {
      const text =
        state.renderTemplate(str(term), vars === null ? {} : keywords(vars), marks) ??
        missing("template", "template", str(term));
      return (truth(convert) ? readLiteral(text) : undefined) ?? text;
    });
  },
  file: (terms, { lstrip = false, rstrip = true }, state) =>
    terms.map((term) => {
      const text = lookedUpText("file", term, state);
      const end = truth(rstrip) ? text.trimEnd() : text;
      return truth(lstrip) ? end.trimStart() : end;
    }),
  fileglob: (terms, _keywords, state) =>
    terms.flatMap((term) => {
      const found = glob(str(term), (name) => state.listFiles(name));
      return found.length > 0 || state.ask === undefined
        ? found
        : [...state.ask("fileglob", [str(term)], {})];
    }),
  pipe: (terms, _keywords, { ask }) =>
    ask === undefined
      ? fail("lookup pipe is not available: templates do not run commands; use a task and its result")
      : [...ask("pipe", terms.map(str), {})],
};

/** List the names of the built-in lookups that every template has. */
export function lookupNames(): readonly string[] {
  return Object.keys(lookups);
}

/** Return a lookup by name: a plain function that the caller supplied, or a built-in one. `custom` is null where none is allowed. */
export function findLookup(
  name: string,
  custom: Readonly<Record<string, (...terms: unknown[]) => unknown>> | null,
): Callable {
  if (custom === null) return fail("a text that a template made may not look anything up");
  const given = Object.hasOwn(custom, name) ? custom[name] : undefined;
  if (given !== undefined) {
    return (terms) => {
      const found = given(...terms.map(toNative));
      return isList(found) ? found : [found];
    };
  }
  const short = shortName(name);
  const known = Object.hasOwn(lookups, short) ? lookups[short] : inMore(() => moreLookup(short));
  return known ?? fail(`lookup plugin (${name}) not found`);
}

/** Perform a lookup from outside of templates. See `runLookup` of Templates. */
export function runLookup(name: string, terms: unknown, options: Keywords, state: CallState): unknown[] {
  const position = { template: `<lookup ${name}>`, line: 1 };
  try {
    if (shortName(name) === "list" && !isList(terms)) fail("with_list expects a list");
    const found = state.lookup(name)(isList(terms) ? terms : [terms], options, state);
    return toValue(iterate(found)) as unknown[];
  } catch (error) {
    throw locate(error, position);
  }
}

function lookup(args: readonly unknown[], keywords: Keywords, state: CallState, wantList: boolean): unknown {
  const [name, ...terms] = args;
  const { wantlist = wantList, errors = "strict", ...options } = keywords;
  terms.forEach(defined);
  let found: unknown[];
  try {
    found = iterate(state.lookup(str(name))(terms, options, state));
  } catch (error) {
    if (errors === "strict" || beginsAnew(error)) throw error;
    return truth(wantlist) ? [] : null;
  }
  if (truth(wantlist)) return found;
  if (found.length === 1) return found[0];
  // Ansible joins texts, and returns a list of anything else, or of nothing.
  return found.length > 0 && found.every((one) => typeof one === "string") ? found.join(",") : found;
}

function range(first: unknown, second?: unknown, third?: unknown): number[] {
  const bound = (value: unknown): number =>
    isInt(defined(value)) ? Number(value) : (asNumber(value) ?? fail("range needs ints"));
  const [start, stop] = second === undefined ? [0, bound(first)] : [bound(first), bound(second)];
  const step = third === undefined ? 1 : bound(third);
  if (step === 0) fail("range's step cannot be zero");
  return Array.from(
    { length: Math.max(0, Math.ceil((stop - start) / step)) },
    (_, index) => start + index * step,
  );
}

function dictOf(args: readonly unknown[], keywords: Keywords): Map<unknown, unknown> {
  const pairs = args.flatMap((arg) =>
    isDict(arg) ? dictEntries(arg) : iterate(arg).map((pair) => iterate(pair) as [unknown, unknown]),
  );
  return dictFrom([...pairs, ...Object.entries(keywords)]);
}

const functions: Readonly<Record<string, Callable>> = {
  range: callable(["start", "stop", "step"], range),
  dict: dictOf,
  namespace: (args, keywords) =>
    new Namespace(new Map([...dictOf(args, keywords)].map(([key, value]) => [str(key), value]))),
  lookup: (args, keywords, state) => lookup(args, keywords, state, false),
  query: (args, keywords, state) => lookup(args, keywords, state, true),
  q: (args, keywords, state) => lookup(args, keywords, state, true),
  now: callable(["utc", "fmt"], (utc: unknown = false, format: unknown = null, ...state: [CallState]) => {
    const value = datetime(wallClock(new Date(), truth(utc)));
    if (format === null) return value;
    const write = value.get("strftime");
    return write instanceof Func ? write.call([format], {}, state[0]) : value;
  }),
  undef: callable(
    ["hint"],
    (hint: unknown = null) =>
      new Undefined(hint === null ? "mandatory variable has not been overridden" : str(hint)),
  ),
  cycler: (values) => cycler(values),
  joiner: callable(["sep"], (separator: unknown = ", ") => {
    let used = false;
    return new Func("joiner", () => {
      const text = used ? separator : "";
      used = true;
      return text;
    });
  }),
};

function cycler(values: readonly unknown[]): Namespace {
  let index = 0;
  const attributes = new Map<string, unknown>([["current", values[0]]]);
  const move = (to: number): unknown => {
    index = to % values.length;
    attributes.set("current", values[index]);
    return values[index];
  };
  attributes.set(
    "next",
    new Func("next", () => {
      const current = values[index];
      move(index + 1);
      return current;
    }),
  );
  attributes.set("reset", new Func("reset", () => move(0)));
  return new Namespace(attributes);
}

/** Return the global functions of templates, by name. */
export function globals(): Record<string, unknown> {
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, new Func(name, call)]));
}
