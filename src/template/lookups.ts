import { matchesGlob, setGlobPieces } from "../core/unix/shell.ts";
import { pythonRegex } from "../core/values/python-regex.ts";
import { makeMap } from "../core/values/value.ts";
import { beginsAnew, fail, locate } from "./errors.ts";
import { datetime, wallClock } from "./filters/date.ts";
import { formatPercent } from "./format.ts";
import { shortName } from "./names.ts";
import {
  asNumber,
  type Callable,
  type CallState,
  callable,
  defined,
  dictEntries,
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
  const name = str(term);
  const value = Object.hasOwn(state.vars, name) ? state.vars[name] : undefined;
  if (value !== undefined) return value;
  return "default" in keywords
    ? keywords.default
    : fail(`lookup vars: no variable named '${name}' was found`);
}

function variableNames(terms: readonly unknown[], state: CallState): unknown[] {
  const patterns = terms.map((term) => pythonRegex(str(term), { unicode: true }));
  return patterns.flatMap((pattern) => Object.keys(state.vars).filter((name) => pattern.test(name)));
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
      : fail("lookup dict needs dicts"),
  );

/** Expand `start=1 end=5 stride=2 format=%02d`, or `count=3`; ends are included. */
function sequence(term: string, keywords: Keywords): string[] {
  const given = new Map([
    ...Object.entries(keywords).map(([key, value]) => [key, str(value)] as const),
    ...[...term.matchAll(/(\w+)=(\S+)/g)].map(([, key = "", value = ""]) => [key, value] as const),
  ]);
  const number = (name: string, fallback: number): number => Number(given.get(name) ?? fallback);
  const [start, stride] = [number("start", 1), number("stride", 1)];
  const end = number("end", start + (number("count", 1) - 1) * stride);
  const size = Math.max(0, Math.floor((end - start) / stride) + 1);
  return Array.from({ length: size }, (_, index) =>
    formatPercent(given.get("format") ?? "%d", start + index * stride),
  );
}

/** Return the text of a file that only the controller has. */
function askedText(plugin: "file", term: unknown, { ask }: CallState): string {
  if (ask === undefined) return missing(plugin, term);
  return str(ask(plugin, [term], { lstrip: false, rstrip: false })[0]);
}

function missing(kind: "file" | "template", term: unknown): never {
  const where = `neither the role nor the playbook has it in its ${kind}s directory`;
  const path = str(term).startsWith("/")
    ? "only files of the playbook and its roles can be looked up"
    : where;
  return fail(`lookup ${kind}: there is no ${kind} '${str(term)}': ${path}`);
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

/** Every built-in lookup. Each returns a list, as in Ansible. */
const lookups: Readonly<Record<string, Callable>> = {
  env: (terms, { default: fallback = "" }, { env }) => terms.map((term) => env[str(term)] ?? fallback),
  vars: (terms, keywords, state) => terms.map((term) => variable(term, keywords, state)),
  varnames: (terms, _keywords, state) => variableNames(terms, state),
  dict: (terms) => entries(terms),
  items: (terms) => terms.flatMap((term) => (isList(term) ? term : [term])),
  list: (terms) => [...terms],
  flattened: (terms) => terms.flat(Number.POSITIVE_INFINITY),
  indexed_items: (terms) =>
    terms.flatMap((term) => (isList(term) ? term : [term])).map((term, index) => tuple(index, term)),
  together: (terms) => {
    const lists = terms.map(iterate);
    return Array.from({ length: Math.max(0, ...lists.map((list) => list.length)) }, (_, index) =>
      lists.map((list) => list[index] ?? null),
    );
  },
  nested: (terms) =>
    terms
      .map(iterate)
      .reduce<unknown[][]>((rows, list) => rows.flatMap((row) => list.map((one) => [...row, one])), [[]]),
  subelements: ([value, path], keywords, state) =>
    iterate(state.filter("subelements")([value, path], keywords, state)),
  sequence: (terms, keywords) => terms.flatMap((term) => sequence(str(term), keywords)),
  template: (terms, { convert_data: convert = true, template_vars: vars = null }, state) =>
    terms.map((term) => {
      const text =
        state.renderTemplate(str(term), vars === null ? {} : keywords(vars)) ?? missing("template", term);
      return (truth(convert) ? readLiteral(text) : undefined) ?? text;
    }),
  file: (terms, { lstrip = false, rstrip = true }, state) =>
    terms.map((term) => {
      const text = state.readText(str(term), "files") ?? askedText("file", term, state);
      const end = truth(rstrip) ? text.trimEnd() : text;
      return truth(lstrip) ? end.trimStart() : end;
    }),
  fileglob: (terms, _keywords, state) =>
    terms.flatMap((term) => glob(str(term), (name) => state.listFiles(name))),
  pipe: () => fail("lookup pipe is not available: templates do not run commands; use a task and its result"),
};

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
  const known = Object.hasOwn(lookups, short) ? lookups[short] : undefined;
  return known ?? fail(`lookup plugin (${name}) not found`);
}

/** Perform a lookup from outside of templates. See `runLookup` of Templates. */
export function runLookup(name: string, terms: unknown, options: Keywords, state: CallState): unknown[] {
  const position = { template: `<lookup ${name}>`, line: 1 };
  try {
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
    found = [];
  }
  if (truth(wantlist)) return found;
  if (found.length === 1) return found[0];
  // Ansible joins texts, and returns a list of anything else.
  return found.every((one) => typeof one === "string") ? found.join(",") : found;
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
  return makeMap([...pairs, ...Object.entries(keywords)]);
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
