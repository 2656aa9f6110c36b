import { integer } from "../../core/values/value.ts";
import { fail } from "../errors.ts";
import { fixed } from "../format.ts";
import {
  asNumber,
  type Callable,
  callable,
  float,
  intArgument,
  isFloat,
  isInt,
  str,
  truth,
  typeName,
} from "../values.ts";

function number(value: unknown): number {
  return (
    asNumber(value) ??
    (typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value))
      ? Number(value)
      : fail(`expected a number, got ${typeName(value)}`))
  );
}

/** Return a number for a filter of Python's mathematics, which reads no text. */
function real(filter: string, value: unknown): number {
  return (
    asNumber(value) ??
    fail(`${filter}() can only be used on numbers: must be real number, not ${typeName(value)}`)
  );
}

function toInt(value: unknown, fallback: unknown = 0, base: unknown = 10): unknown {
  if (typeof value === "string") {
    const text = value.trim().replaceAll("_", "").toLowerCase();
    const radix = intArgument(base, 10);
    const prefix = { 16: /^([-+]?)0x/, 8: /^([-+]?)0o/, 2: /^([-+]?)0b/ }[radix];
    const digits = prefix ? text.replace(prefix, "$1") : text;
    const allowed = "0123456789abcdefghijklmnopqrstuvwxyz".slice(0, radix);
    if (new RegExp(`^[-+]?[${allowed}]+$`).test(digits)) return parseDigits(digits, radix);
    return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/.test(text) && radix === 10
      ? whole(Number(text), fallback)
      : fallback;
  }
  if (isInt(value)) return value;
  const found = asNumber(value);
  return found === undefined ? fallback : whole(found, fallback);
}

/** Return the whole part of a float, with all of its digits. */
function whole(value: number, fallback: unknown): unknown {
  return Number.isFinite(value) ? integer(BigInt(Math.trunc(value))) : fallback;
}

/** Parse any number of digits of any base. */
function parseDigits(text: string, radix: number): number | bigint {
  const short = Number.parseInt(text, radix);
  if (Number.isSafeInteger(short)) return short;
  const magnitude = [...text.replace(/^[-+]/, "")].reduce(
    (total, digit) => total * BigInt(radix) + BigInt(Number.parseInt(digit, radix)),
    0n,
  );
  return text.startsWith("-") ? -magnitude : magnitude;
}

function toFloat(value: unknown, fallback: unknown): unknown {
  const otherwise = fallback === undefined ? float(0) : fallback;
  if (typeof value === "string") {
    const text = value.trim().replaceAll("_", "").toLowerCase();
    if (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/.test(text)) return float(Number(text));
    const special = /^([-+]?)(inf(?:inity)?|nan)$/.exec(text);
    if (special === null) return otherwise;
    return special[2] === "nan"
      ? Number.NaN
      : special[1] === "-"
        ? Number.NEGATIVE_INFINITY
        : Number.POSITIVE_INFINITY;
  }
  const found = asNumber(value);
  return found === undefined ? otherwise : float(found);
}

function round(value: unknown, precision: unknown, method: unknown = "common"): unknown {
  const digits = intArgument(precision, 0);
  const from = number(value);
  if (method === "common") {
    if (isInt(value) && digits >= 0) return value;
    if (digits < 0) {
      const scaled = from / 10 ** -digits;
      const up = Math.round(scaled);
      const rounded = (up - scaled === 0.5 && up % 2 !== 0 ? up - 1 : up) * 10 ** -digits;
      return isInt(value) ? rounded : float(rounded);
    }
    return float(Number(fixed(from, digits)));
  }
  const scale = 10 ** digits;
  if (method === "ceil") return float(Math.ceil(from * scale) / scale);
  return method === "floor"
    ? float(Math.floor(from * scale) / scale)
    : fail(`round has no method '${str(method)}'`);
}

const UNITS = "YZEPTGMKB";

function toBytes(value: unknown, defaultUnit: unknown = null, isBits: unknown = false): number {
  const text = str(value);
  const [, digits, written] =
    /^\s*(\d*\.?\d*)\s*([A-Za-z]+)?/.exec(text) ??
    fail(`human_to_bytes() can't interpret following string: ${text}`);
  if (digits === undefined || !/\d/.test(digits))
    return fail(`human_to_bytes() can't interpret following string: ${text}`);
  const unit = written ?? (defaultUnit === null ? "" : str(defaultUnit));
  if (unit === "") return Math.round(Number(digits));
  const letter = unit.charAt(0).toUpperCase();
  const power = UNITS.length - 1 - UNITS.indexOf(letter);
  const [small, word] = truth(isBits) ? ["b", "bit"] : ["B", "byte"];
  const lower = unit.toLowerCase();
  // Of the short forms, the second letter tells bits from bytes.
  const isKnown =
    UNITS.includes(letter) &&
    (unit.length === 1
      ? true
      : lower.includes(word) ||
        (letter === "B" ? lower.startsWith("b") : unit.length === 2 && unit.charAt(1) === small));
  if (!isKnown) return fail(`human_to_bytes() can't interpret following string: ${text}`);
  return Math.round(Number(digits) * 1024 ** power);
}

function humanReadable(value: unknown, isBits: unknown = false, unit: unknown = null): string {
  const size =
    asNumber(value) ??
    fail(
      `human_readable() failed on bad input: '>=' not supported between instances of '${typeName(value)}' and 'int'`,
    );
  const suffix = truth(isBits) ? "b" : "B";
  const wanted = unit === null ? null : str(unit).charAt(0).toUpperCase();
  for (const [index, letter] of [...UNITS].entries()) {
    const limit = 1024 ** (UNITS.length - 1 - index);
    if (wanted === null ? size >= limit : wanted === letter) {
      const name = letter === "B" ? (truth(isBits) ? "bits" : "Bytes") : letter + suffix;
      return `${fixed(size / limit, 2)} ${name}`;
    }
  }
  return `${fixed(size, 2)} ${truth(isBits) ? "bits" : "Bytes"}`;
}

/** Filters of numbers, Jinja's and Ansible's. */
export const numberFilters: Readonly<Record<string, Callable>> = {
  int: callable(["value", "default", "base"], toInt),
  float: callable(["value", "default"], toFloat),
  abs: callable(["value"], (value: unknown) =>
    typeof value === "bigint"
      ? integer(value < 0n ? -value : value)
      : isFloat(value)
        ? float(Math.abs(number(value)))
        : Math.abs(number(value)),
  ),
  round: callable(["value", "precision", "method"], round),
  log: callable(["value", "base"], (value: unknown, base: unknown) => {
    const by = base === undefined ? Math.E : real("log", base);
    if (real("log", value) <= 0 || by <= 0) return fail("math domain error");
    if (by === 1) return fail("float division by zero");
    return float(
      by === 10
        ? Math.log10(number(value))
        : by === 2
          ? Math.log2(number(value))
          : Math.log(number(value)) / Math.log(by),
    );
  }),
  pow: callable(["value", "power"], (value: unknown, power: unknown) =>
    float(real("pow", value) ** real("pow", power)),
  ),
  root: callable(["value", "base"], (value: unknown, base: unknown) => {
    const by = base === undefined ? 2 : real("root", base);
    if (by === 0) return fail("float division by zero");
    if (real("root", value) < 0 && by === 2)
      return fail("root() can only be used on numbers: math domain error");
    return float(by === 2 ? Math.sqrt(number(value)) : number(value) ** (1 / by));
  }),
  human_readable: callable(["value", "isbits", "unit"], humanReadable),
  human_to_bytes: callable(["value", "default_unit", "isbits"], toBytes),
};
