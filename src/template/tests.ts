import type { FileType } from "../core/system.ts";
import { pythonRegex } from "../core/values/python-regex.ts";
import { item } from "./access.ts";
import { fail } from "./errors.ts";
import { compareEpoch, compareSemantic, compareStrict } from "./more/index.ts";
import { binary, compare, contains, equals } from "./operators.ts";
import {
  Attributes,
  asNumber,
  type Callable,
  type CallState,
  callable,
  defined,
  Float,
  Func,
  isDict,
  isFloat,
  isInt,
  isList,
  iterate,
  str,
  truth,
  typeName,
  Undefined,
} from "./values.ts";
import { compareLoose } from "./versions.ts";

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
    if (strict !== null && type !== null) fail("Cannot specify both 'strict' and 'version_type'");
    const kind = type === null ? (truth(strict) ? "strict" : "loose") : str(type);
    const name = str(operator);
    return compare(
      OPERATORS[name] ??
        (/^([<>]=?|[=!]=)$/.test(name)
          ? name
          : fail(
              `Invalid operator type (${name}). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', '>=', 'ge', '!=', '<>', 'ne'`,
            )),
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
function result(test: string, body: (field: (name: string) => boolean) => boolean): Callable {
  return is((value) => {
    if (!isDict(value)) return fail(`The '${test}' test expects a dictionary`);
    return body((name) => {
      const found = item(value, name);
      return !(found instanceof Undefined) && truth(found);
    });
  });
}

/** Make a test of a task that may be asynchronous: any other one counts as both started and finished. */
function asynchronous(name: string): Callable {
  return is((value) => {
    if (!isDict(value)) return fail(`The '${name}' test expects a dictionary`);
    const found = item(value, name);
    return found instanceof Undefined || truth(found);
  });
}

function changed(value: unknown): boolean {
  if (!isDict(value)) return fail("The 'changed' test expects a dictionary");
  const own = item(value, "changed");
  if (!(own instanceof Undefined)) return truth(own);
  const results = item(value, "results");
  return isList(results) && results.some((one) => isDict(one) && changed(one));
}

/** Make a test of the file at a path of the host being worked on. */
function at(is: (type: FileType | null) => boolean, follow = true): Callable {
  return callable(["value"], (value: unknown, state: CallState) => {
    if (isList(value) || isDict(value))
      fail(`stat: path should be string, bytes, os.PathLike or integer, not ${typeName(value)}`);
    return is(state.look(str(value), follow));
  });
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
  iterable: is((value) => typeof defined(value) === "string" || isList(value) || isDict(value)),
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
  failed: result("failed", (field) => field("failed")),
  failure: result("failure", (field) => field("failed")),
  succeeded: result("succeeded", (field) => !field("failed")),
  success: result("success", (field) => !field("failed")),
  successful: result("successful", (field) => !field("failed")),
  skipped: result("skipped", (field) => field("skipped")),
  skip: result("skip", (field) => field("skipped")),
  reachable: result("reachable", (field) => !field("unreachable")),
  unreachable: result("unreachable", (field) => field("unreachable")),
  started: asynchronous("started"),
  finished: asynchronous("finished"),
  exists: at((type) => type !== null),
  file: at((type) => type === "file"),
  is_file: at((type) => type === "file"),
  directory: at((type) => type === "directory"),
  is_dir: at((type) => type === "directory"),
  link: at((type) => type === "link", false),
  link_exists: at((type) => type !== null, false),
  is_link: at((type) => type === "link", false),
  abs: is((value) => str(value).startsWith("/")),
  is_abs: is((value) => str(value).startsWith("/")),
};

/** Return a negative, zero or positive number as a version is before, equal to or after another; `type` is Ansible's `version_type`. */
function compareVersions(left: string, right: string, type: string): number {
  if (left === "") return fail("Input version value cannot be empty");
  if (right === "") return fail("Version parameter to compare against cannot be empty");
  switch (type) {
    case "loose":
      return compareLoose(left, right);
    case "strict":
      return compareStrict(left, right);
    case "semver":
    case "semantic":
      return compareSemantic(left, right);
    case "pep440":
      return compareEpoch(left, right);
    default:
      return fail(
        `Invalid version type (${type}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'`,
      );
  }
}
