import { Float, float, integer } from "../core/value.ts";

/** The words for true and false in YAML 1.1, in the three spellings it allows. */
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

type YamlNumber = number | bigint | Float;

function parseInteger(text: string): YamlNumber | null {
  const digits = text.replace(/^[-+]/, "").replaceAll("_", "");
  // A zero in front means octal; JavaScript has `0o` for that.
  const value = /^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits;
  // Underscores alone are no digits.
  if (/^0[xb]$/.test(value)) return null;
  const magnitude = BigInt(value);
  return integer(text.startsWith("-") ? -magnitude : magnitude);
}

/** `1:30` is 90: a number in base 60. */
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

function resolveNumber(text: string): YamlNumber | null {
  if ([DECIMAL, OCTAL, HEX, BINARY].some((form) => form.test(text))) return parseInteger(text);
  if ([FLOAT, INFINITE, NOT_A_NUMBER].some((form) => form.test(text))) return parseYamlFloat(text);
  return SEXAGESIMAL.test(text) ? parseSexagesimal(text) : null;
}

/** What a scalar with an explicit tag means: `!!int`, `!!float`, `!!bool` or `!!null`; undefined where it cannot be that. */
export function resolveTagged(kind: string, text: string): YamlNumber | boolean | null | undefined {
  const value = resolveScalar(text);
  switch (kind) {
    case "null":
      return null;
    case "bool":
      return typeof value === "boolean" ? value : undefined;
    case "int":
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

/**
 * What an unquoted YAML scalar means under YAML 1.1 (https://yaml.org/type/), which is what Ansible reads: `yes` is
 * true, `0644` is octal, `10:30` is 630, `8.0` a float and `1e3` text. Dates stay text.
 */
export function resolveScalar(text: string): string | YamlNumber | boolean | null {
  if (NUMBER_START.test(text)) return resolveNumber(text) ?? text;
  if (NULLS.has(text)) return null;
  return BOOLEAN_WORDS.get(text) ?? text;
}
