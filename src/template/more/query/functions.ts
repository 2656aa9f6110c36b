import { float, keyText, makeDict, writeJson } from "../../../core/values/value.ts";
import { fail } from "../../errors.ts";
import { equals } from "../../operators.ts";
import { asNumber, type Dict, dictEntries, isDict, isFloat, isList } from "../../values.ts";

/** An expression that a function applies to items: `&name`. */
export class Reference {
  readonly of: (item: unknown) => unknown;
  constructor(of: (item: unknown) => unknown) {
    this.of = of;
  }
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value instanceof Reference) return "expression";
  if (typeof value === "boolean" || typeof value === "string") return typeof value;
  return isList(value) ? "array" : isDict(value) ? "object" : "number";
}

type Arguments = readonly never[];

interface Definition {
  /** The kinds of each argument, apart by `|`; "any" for all, `kind[]` for a list of such. */
  readonly kinds: readonly string[];
  /** True where the last argument may be repeated. */
  readonly isOpen?: boolean;
  readonly call: (...args: Arguments) => unknown;
}

function define(kinds: string, call: (...args: Arguments) => unknown): Definition {
  const isOpen = kinds.endsWith("…");
  return { kinds: kinds.replace("…", "").split(" "), isOpen, call };
}

function fits(value: unknown, kinds: string): boolean {
  return kinds.split("|").some((kind) => {
    if (kind === "any") return true;
    if (!kind.endsWith("[]")) return kindOf(value) === kind;
    return isList(value) && value.every((one) => kindOf(one) === kind.slice(0, -2));
  });
}

/** Give each item the key to order by; all must be numbers, or all texts. */
function keyed(name: string, items: readonly unknown[], { of }: Reference): [number | string, unknown][] {
  const pairs = items.map((one): [unknown, unknown] => [of(one), one]);
  const [kind] = pairs.map(([key]) => kindOf(key));
  if (pairs.some(([key]) => kindOf(key) !== kind || (kind !== "number" && kind !== "string")))
    fail(`json_query: ${name}() needs numbers only, or texts only, to compare by`);
  return pairs.map(([key, one]) => [kind === "number" ? (asNumber(key) as number) : String(key), one]);
}

const ITSELF = new Reference((one) => one);

function order(left: number | string, right: number | string): number {
  return left < right ? -1 : Number(left > right);
}

const sorted =
  (name: string) =>
  (items: readonly unknown[], by = ITSELF): unknown[] =>
    keyed(name, items, by)
      .sort(([left], [right]) => order(left, right))
      .map(([, one]) => one);

/** Choose the first of the greatest items, or of the least with `sign` -1; null of none. */
const extreme =
  (name: string, sign: number) =>
  (items: readonly unknown[], by = ITSELF): unknown => {
    const [first, ...rest] = keyed(name, items, by);
    if (first === undefined) return null;
    return rest.reduce((best, one) => (sign * order(one[0], best[0]) > 0 ? one : best), first)[1];
  };

const sum = (items: readonly unknown[]): number | bigint =>
  items.reduce<number>((total, one) => total + (asNumber(one) ?? 0), 0);

const whole = (value: number): unknown => (Number.isInteger(value) ? value : float(value));

function toNumber(value: unknown): unknown {
  if (typeof value !== "string") return kindOf(value) === "number" ? value : null;
  if (/^\s*[+-]?\d+\s*$/.test(value)) return Number(value);
  return /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i.test(value) ? float(Number(value)) : null;
}

const FUNCTIONS: Readonly<Record<string, Definition>> = {
  abs: define("number", (value: unknown) => {
    const number = Math.abs(asNumber(value) ?? 0);
    return isFloat(value) ? float(number) : number;
  }),
  avg: define("number[]", (items: readonly unknown[]) =>
    items.length === 0 ? null : float(Number(sum(items)) / items.length),
  ),
  ceil: define("number", (value: unknown) => whole(Math.ceil(asNumber(value) ?? 0))),
  contains: define("array|string any", (subject: string | readonly unknown[], search: unknown) =>
    typeof subject === "string"
      ? typeof search === "string" && subject.includes(search)
      : subject.some((one) => equals(one, search)),
  ),
  ends_with: define("string string", (text: string, end: string) => text.endsWith(end)),
  floor: define("number", (value: unknown) => whole(Math.floor(asNumber(value) ?? 0))),
  join: define("string string[]", (glue: string, items: readonly string[]) => items.join(glue)),
  keys: define("object", (dict: Dict) => dictEntries(dict).map(([key]) => key)),
  length: define("string|array|object", (value: string | readonly unknown[] | Dict) =>
    isDict(value) ? dictEntries(value).length : [...value].length,
  ),
  map: define("expression array", ({ of }: Reference, items: readonly unknown[]) => items.map(of)),
  max: define("number[]|string[]", extreme("max", 1)),
  max_by: define("array expression", extreme("max_by", 1)),
  merge: define("object…", (...dicts: readonly Dict[]) =>
    makeDict(
      new Map(
        dicts.flatMap((dict) => dictEntries(dict).map(([key, value]) => [keyText(key), value] as const)),
      ),
    ),
  ),
  min: define("number[]|string[]", extreme("min", -1)),
  min_by: define("array expression", extreme("min_by", -1)),
  not_null: define("any…", (...values: readonly unknown[]) => values.find((one) => one !== null) ?? null),
  reverse: define("array|string", (value: string | readonly unknown[]) =>
    typeof value === "string" ? [...value].reverse().join("") : [...value].reverse(),
  ),
  sort: define("number[]|string[]", sorted("sort")),
  sort_by: define("array expression", sorted("sort_by")),
  starts_with: define("string string", (text: string, start: string) => text.startsWith(start)),
  sum: define("number[]", sum),
  to_array: define("any", (value: unknown) => (isList(value) ? value : [value])),
  to_number: define("any", toNumber),
  to_string: define("any", (value: unknown) =>
    typeof value === "string" ? value : writeJson(value, { separators: [",", ":"], ensureAscii: true }),
  ),
  type: define("any", kindOf),
  values: define("object", (dict: Dict) => dictEntries(dict).map(([, value]) => value)),
};

/** Call a function of JMESPath; fail for one that does not exist, and for arguments of the wrong kind or number. */
export function callFunction(name: string, args: readonly unknown[]): unknown {
  const { kinds, isOpen, call } =
    (Object.hasOwn(FUNCTIONS, name) && FUNCTIONS[name]) || fail(`json_query: there is no function ${name}()`);
  if (isOpen ? args.length < kinds.length : args.length !== kinds.length)
    fail(
      `json_query: ${name}() takes ${isOpen ? "at least " : ""}${kinds.length} arguments, not ${args.length}`,
    );
  args.forEach((one, index) => {
    const kind = kinds[Math.min(index, kinds.length - 1)] ?? "any";
    if (!fits(one, kind))
      fail(
        `json_query: argument ${index + 1} of ${name}() must be ${kind.replaceAll("|", " or ")}, not ${kindOf(one)}`,
      );
  });
  return call(...(args as Arguments));
}
