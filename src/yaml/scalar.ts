import { Float, float, integer } from "../core/values/value.ts";

/** The words for true and false in YAML 1.1, each in three spellings. */
export const BOOLEAN_WORDS: ReadonlyMap<string, boolean> = new Map(
  ["yes", "true", "on"].flatMap((yes, index) => {
    const no = ["no", "false", "off"][index]!;
    const spellings = (word: string): string[] => [
      word,
      word[0]!.toUpperCase() + word.slice(1),
      word.toUpperCase(),
    ];
    return [
      ...spellings(yes).map((word) => [word, true] as const),
      ...spellings(no).map((word) => [word, false] as const),
    ];
  }),
);
const NULLS: ReadonlySet<string> = new Set(["", "~", "null", "Null", "NULL"]);
const NUMBER_START = /^[-+.0-9]/;
const DECIMAL = /^[-+]?(?:0|[1-9][0-9_]*)$/;
const OCTAL = /^[-+]?0[0-7_]+$/;
const HEX = /^[-+]?0x[0-9a-fA-F_]+$/;
const BINARY = /^[-+]?0b[01_]+$/;
const FLOAT = /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$/;
const SEXAGESIMAL = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$|^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/;
const INFINITE = /^[-+]?\.(?:inf|Inf|INF)$/;
const NOT_A_NUMBER = /^\.(?:nan|NaN|NAN)$/;

const TIMESTAMP =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(\.\d*)?(?:[ \t]*(?:Z|([-+]\d\d?)(?::(\d\d))?))?)?$/;

type YamlNumber = number | bigint | Float;

function parseInteger(text: string): YamlNumber | null {
  const digits = text.replace(/^[-+]/, "").replaceAll("_", "");
  // A leading zero means octal, which JavaScript writes `0o`.
  const value = /^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits;
  // Underscores alone are no digits.
  if (/^0[xb]$/.test(value)) return null;
  const magnitude = BigInt(value);
  return integer(text.startsWith("-") ? -magnitude : magnitude);
}

/** Parse a number in base 60: `1:30` is 90. */
function parseSexagesimal(text: string): YamlNumber {
  const parts = text.replace(/^[-+]/, "").replaceAll("_", "").split(":");
  const value = parts.reduce((total, part) => total * 60 + Number(part), 0) * (text.startsWith("-") ? -1 : 1);
  return text.includes(".") ? float(value) : value;
}

function parseYamlFloat(text: string): number | Float {
  if (NOT_A_NUMBER.test(text)) return Number.NaN;
  const sign = text.startsWith("-") ? -1 : 1;
  return INFINITE.test(text) ? sign * Number.POSITIVE_INFINITY : float(Number(text.replaceAll("_", "")));
}

const INTEGERS = [DECIMAL, OCTAL, HEX, BINARY];
const FLOATS = [FLOAT, INFINITE, NOT_A_NUMBER];

function resolveNumber(text: string): YamlNumber | null {
  if (INTEGERS.some((form) => form.test(text))) return parseInteger(text);
  if (FLOATS.some((form) => form.test(text))) return parseYamlFloat(text);
  return SEXAGESIMAL.test(text) ? parseSexagesimal(text) : null;
}

/**
 * Return the value of an unquoted scalar under YAML 1.1 (https://yaml.org/type/), as PyYAML and so Ansible reads it:
 * `yes` is true, `0644` octal, `10:30` is 630, `8.0` a float and `1e3` text. Timestamps stay text.
 */
export function resolveScalar(text: string): string | YamlNumber | boolean | null {
  if (NUMBER_START.test(text)) return resolveNumber(text) ?? text;
  if (NULLS.has(text)) return null;
  return BOOLEAN_WORDS.get(text) ?? text;
}

/**
 * Return the value of a scalar with the tag `!!int`, `!!float`, `!!bool` or `!!null`; undefined where the text has no
 * such value.
 */
export function resolveTagged(tag: string, text: string): YamlNumber | boolean | null | undefined {
  const value = resolveScalar(text);
  switch (tag) {
    case "!!null":
      return null;
    case "!!bool":
      return typeof value === "boolean" ? value : undefined;
    case "!!int":
      return (typeof value === "number" && Number.isInteger(value)) || typeof value === "bigint"
        ? value
        : undefined;
    default: {
      if (typeof value === "number" || value instanceof Float) return float(Number(value));
      const number = typeof value === "boolean" || text.trim() === "" ? Number.NaN : Number(text);
      return Number.isNaN(number) ? undefined : float(number);
    }
  }
}

/** Return the time that a timestamp names, in UTC, and whether it names a time of day; null for any other text. */
export function parseTimestamp(text: string): { readonly time: Date; readonly hasClock: boolean } | null {
  const match = matchTimestamp(text);
  if (match === null) return null;
  const [year, month, day, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const zone = match[8] === undefined ? 0 : Number(match[8]) * 60;
  const minutes = zone + (Math.sign(zone) || 1) * Number(match[9] ?? 0);
  const milliseconds = Math.floor(Number(`0${match[7] ?? ""}`) * 1_000);
  const time = new Date(Date.UTC(year!, month! - 1, day, hour, minute - minutes, second, milliseconds));
  return { time, hasClock: match[4] !== undefined };
}

/** Tell whether PyYAML would read an unquoted text as another value than this text. */
export function isAmbiguous(text: string): boolean {
  return (
    NULLS.has(text) ||
    BOOLEAN_WORDS.has(text) ||
    [...INTEGERS, ...FLOATS, SEXAGESIMAL].some((form) => form.test(text)) ||
    matchTimestamp(text) !== null ||
    text === "<<" ||
    text === "="
  );
}

function matchTimestamp(text: string): RegExpExecArray | null {
  const match = TIMESTAMP.exec(text);
  // PyYAML wants two digits each in a date alone.
  return match?.[4] === undefined && text.length !== 10 ? null : match;
}
