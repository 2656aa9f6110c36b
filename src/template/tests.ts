import type { FileType } from "../core/system.ts";
import { pythonRegex } from "../core/values/python-regex.ts";
import { item } from "./access.ts";
import { fail } from "./errors.ts";
import { filters } from "./filters/index.ts";
import { binary, compare, contains, equals, order } from "./operators.ts";
import {
  Attributes,
  asNumber,
  type Callable,
  type CallState,
  callable,
  Float,
  Func,
  isDict,
  isFloat,
  isInt,
  isList,
  iterate,
  str,
  truth,
  tuple,
  typeName,
  Undefined,
} from "./values.ts";

const is = (body: (value: unknown) => boolean): Callable => callable(["value"], body);
const comparison = (operator: string): Callable =>
  callable(["a", "b"], (a: unknown, b: unknown) => compare(operator, a, b));

const OPERATORS: Readonly<Record<string, string>> = {
  "=": "==",
  eq: "==",
  ne: "!=",
  "<>": "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
};

const version: Callable = callable(
  ["value", "version", "operator", "strict", "version_type"],
  (
    value: unknown,
    other: unknown,
    operator: unknown = "eq",
    strict: unknown = null,
    type: unknown = null,
  ) => {
    const kind = type === null ? (truth(strict) ? "strict" : "loose") : str(type);
    const name = str(operator);
    return compare(
      OPERATORS[name] ??
        (/^([<>]=?|[=!]=)$/.test(name) ? name : fail(`there is no version operator '${name}'`)),
      compareVersions(str(value), str(other), kind),
      0,
    );
  },
);

function regex(position: "match" | "fullmatch" | "search"): Callable {
  return (
    [value, pattern, ...rest],
    { ignorecase = rest[0] ?? false, multiline: lines = rest[1] ?? false, match_type: kind = position },
  ) => {
    const [ignoreCase, multiline] = [truth(ignorecase), truth(lines)];
    const anchored = kind === "match" ? "start" : kind === "fullmatch" ? "both" : undefined;
    return pythonRegex(str(pattern), {
      ...{ ignoreCase, multiline, unicode: true },
      ...(anchored === undefined ? {} : { anchored }),
    }).test(str(value));
  };
}

/** Make a test of a registered result's fields, as Ansible's tests of results read them. */
function result(body: (field: (name: string) => boolean) => boolean): Callable {
  return is((value) => {
    if (!isDict(value)) return fail("this test needs the registered result of a task");
    return body((name) => {
      const found = item(value, name);
      return !(found instanceof Undefined) && truth(found);
    });
  });
}

function changed(value: unknown): boolean {
  if (!isDict(value)) return fail("the test 'changed' needs the registered result of a task");
  const own = item(value, "changed");
  if (!(own instanceof Undefined)) return truth(own);
  const results = item(value, "results");
  return isList(results) && results.some((one) => isDict(one) && changed(one));
}

/** Make a test of the file at a path of the host being worked on. */
function at(is: (type: FileType | null) => boolean, follow = true): Callable {
  return callable(["value"], (value: unknown, state: CallState) => is(state.look(str(value), follow)));
}

const isTrue = is((value) => value === true);
const isFalse = is((value) => value === false);
const truthy = callable(["value", "convert_bool"], (value: unknown, convert: unknown = false) => {
  const converted =
    truth(convert) && typeof value === "string" && /^(?:yes|no|on|off|true|false|[01ynft])$/i.test(value)
      ? /^(?:yes|on|true|[1yt])$/i.test(value)
      : value;
  return truth(converted);
});

/** Every test, Jinja's and Ansible's, by the name templates use. */
export const tests: Readonly<Record<string, Callable>> = {
  defined: is((value) => !(value instanceof Undefined)),
  undefined: is((value) => value instanceof Undefined),
  none: is((value) => value === null),
  None: is((value) => value === null),
  true: isTrue,
  True: isTrue,
  false: isFalse,
  False: isFalse,
  boolean: is((value) => typeof value === "boolean"),
  integer: is(isInt),
  float: is(isFloat),
  number: is((value) => asNumber(value) !== undefined),
  string: is((value) => typeof value === "string"),
  mapping: is(isDict),
  sequence: is((value) => typeof value === "string" || isList(value) || isDict(value)),
  iterable: is((value) => typeof value === "string" || isList(value) || isDict(value)),
  callable: is(
    (value) =>
      value instanceof Func ||
      typeof value === "function" ||
      (value instanceof Attributes && value.get("__call__") !== undefined),
  ),
  sameas: callable(
    ["value", "other"],
    (value: unknown, other: unknown) =>
      value === other || (value instanceof Float && other instanceof Float && value.value === other.value),
  ),
  escaped: is(() => false),
  even: callable(["value"], (value: unknown) => equals(binary("%", value, 2), 0)),
  odd: callable(["value"], (value: unknown) => equals(binary("%", value, 2), 1)),
  divisibleby: callable(["value", "num"], (value: unknown, by: unknown) => equals(binary("%", value, by), 0)),
  lower: is((value) => str(value) === str(value).toLowerCase() && /\p{L}/u.test(str(value))),
  upper: is((value) => str(value) === str(value).toUpperCase() && /\p{L}/u.test(str(value))),
  in: callable(["value", "seq"], (value: unknown, within: unknown) => contains(within, value)),
  filter: ([name]) => Object.hasOwn(filters, str(name)),
  test: ([name]) => Object.hasOwn(tests, str(name)),
  eq: comparison("=="),
  equalto: comparison("=="),
  "==": comparison("=="),
  ne: comparison("!="),
  "!=": comparison("!="),
  lt: comparison("<"),
  lessthan: comparison("<"),
  "<": comparison("<"),
  le: comparison("<="),
  "<=": comparison("<="),
  gt: comparison(">"),
  greaterthan: comparison(">"),
  ">": comparison(">"),
  ge: comparison(">="),
  ">=": comparison(">="),
  contains: callable(["value", "item"], (value: unknown, one: unknown) => contains(value, one)),
  any: is((value) => iterate(value).some(truth)),
  all: is((value) => iterate(value).every(truth)),
  subset: callable(["a", "b"], (a: unknown, b: unknown) => iterate(a).every((one) => contains(b, one))),
  issubset: callable(["a", "b"], (a: unknown, b: unknown) => iterate(a).every((one) => contains(b, one))),
  superset: callable(["a", "b"], (a: unknown, b: unknown) => iterate(b).every((one) => contains(a, one))),
  issuperset: callable(["a", "b"], (a: unknown, b: unknown) => iterate(b).every((one) => contains(a, one))),
  truthy,
  falsy: (args, keywords, state) => !truthy(args, keywords, state),
  match: regex("match"),
  search: regex("search"),
  regex: regex("search"),
  version,
  version_compare: version,
  nan: is((value) => Number.isNaN(value)),
  isnan: is((value) => Number.isNaN(value)),
  changed: is(changed),
  change: is(changed),
  failed: result((field) => field("failed")),
  failure: result((field) => field("failed")),
  succeeded: result((field) => !field("failed")),
  success: result((field) => !field("failed")),
  successful: result((field) => !field("failed")),
  skipped: result((field) => field("skipped")),
  skip: result((field) => field("skipped")),
  reachable: result((field) => !field("unreachable")),
  unreachable: result((field) => field("unreachable")),
  started: result((field) => field("started")),
  finished: result((field) => field("finished")),
  exists: at((type) => type !== null),
  file: at((type) => type === "file"),
  is_file: at((type) => type === "file"),
  directory: at((type) => type === "directory"),
  is_dir: at((type) => type === "directory"),
  link: at((type) => type === "link", false),
  is_link: at((type) => type === "link", false),
  abs: is((value) => str(value).startsWith("/")),
  is_abs: is((value) => str(value).startsWith("/")),
};

type Part = number | string;

function looseParts(version: string): Part[] {
  return (version.match(/\d+|[a-z]+|[^\d.a-z]+/gi) ?? []).map((part) =>
    /^\d+$/.test(part) ? Number(part) : part,
  );
}

/** Compare as distutils' LooseVersion does: numbers by value, words by letter, a longer version after its beginning. */
function compareLoose(left: string, right: string): number {
  const [a, b] = [looseParts(left), looseParts(right)];
  for (let index = 0; index < Math.min(a.length, b.length); index++) {
    const [x, y] = [a[index], b[index]];
    if (x === y) continue;
    // Python refuses to order a number and a word.
    if (isInt(x) !== isInt(y))
      return fail(
        `cannot compare the versions '${left}' and '${right}': '<' between ${typeName(x)} and ${typeName(y)}`,
      );
    return order(x, y);
  }
  return a.length - b.length;
}

const SEMANTIC = /^(\d+)\.(\d+)\.(\d+)(?:-([\w.-]+))?(?:\+[\w.-]+)?$/;

function compareSemantic(left: string, right: string): number {
  const [a, b] = [left, right].map(
    (text) => SEMANTIC.exec(text) ?? fail(`'${text}' is not a semantic version`),
  ) as [RegExpExecArray, RegExpExecArray];
  const numbers = (match: RegExpExecArray) => tuple(...match.slice(1, 4).map(Number));
  const core = order(numbers(a), numbers(b));
  if (core !== 0) return core;
  if (a[4] === undefined || b[4] === undefined)
    return Number(a[4] === undefined) - Number(b[4] === undefined);
  const [x, y] = [a[4].split("."), b[4].split(".")];
  for (let index = 0; index < Math.max(x.length, y.length); index++) {
    const [one, other] = [x[index], y[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one === other) continue;
    const digits = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (digits[0] && digits[1]) return Number(one) - Number(other);
    if (digits[0] !== digits[1]) return digits[0] ? -1 : 1;
    return one < other ? -1 : 1;
  }
  return 0;
}

/** Compare by PEP 440, for the parts in common use: .dev, then a/b/rc, then the release, then .post. */
function compareEpoch(left: string, right: string): number {
  const parse = (text: string) => {
    const match =
      /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|alpha|b|beta|rc|c|pre)[-_.]?(\d*))?(?:[-_.]?post[-_.]?(\d*))?(?:[-_.]?dev[-_.]?(\d*))?(?:\+.*)?$/i.exec(
        text.trim(),
      ) ?? fail(`'${text}' is not a version of PEP 440`);
    const release = (match[2] ?? "").split(".").map(Number);
    while (release.length > 1 && release.at(-1) === 0) release.pop();
    const stage = match[3]?.toLowerCase();
    const rank =
      stage === undefined
        ? match[6] !== undefined && match[5] === undefined
          ? 0
          : 4
        : stage.startsWith("a")
          ? 1
          : stage.startsWith("b")
            ? 2
            : 3;
    const [post, dev] = [
      match[5] === undefined ? -1 : Number(match[5]),
      match[6] === undefined ? Number.MAX_SAFE_INTEGER : Number(match[6]),
    ];
    return tuple(Number(match[1] ?? 0), release, rank, Number(match[4] || 0), post, dev);
  };
  return order(parse(left), parse(right));
}

/** Return a negative, zero or positive number as a version is before, equal to or after another; `type` is Ansible's `version_type`. */
function compareVersions(left: string, right: string, type: string): number {
  if (left === "" || right === "") return fail("a version is empty");
  switch (type) {
    case "loose":
    case "strict":
      return compareLoose(left, right);
    case "semver":
    case "semantic":
      return compareSemantic(left, right);
    case "pep440":
      return compareEpoch(left, right);
    default:
      return fail(`there is no version type '${type}'`);
  }
}
