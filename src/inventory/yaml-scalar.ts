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
const SEXAGESIMAL = /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/;
const FLOAT = /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?$/;
const INFINITE = /^([-+]?)\.(?:inf|Inf|INF)$/;
const NOT_A_NUMBER = /^\.(?:nan|NaN|NAN)$/;

function parseInteger(text: string, digits: string, base: number): number | string {
  const value = Number.parseInt(digits.replaceAll("_", ""), base) * (text.startsWith("-") ? -1 : 1);
  // A longer number would silently become another one.
  return Number.isSafeInteger(value) ? value : text;
}

function resolveNumber(text: string): number | string {
  const unsigned = text.replace(/^[-+]/, "");
  if (DECIMAL.test(text)) return parseInteger(text, unsigned, 10);
  if (OCTAL.test(text)) return parseInteger(text, unsigned, 8);
  if (HEX.test(text)) return parseInteger(text, unsigned.slice(2), 16);
  if (BINARY.test(text)) return parseInteger(text, unsigned.slice(2), 2);
  if (FLOAT.test(text)) return Number(text.replaceAll("_", ""));
  if (SEXAGESIMAL.test(text)) {
    const value = unsigned
      .split(":")
      .reduce((total, part) => total * 60 + Number(part.replaceAll("_", "")), 0);
    return text.startsWith("-") ? -value : value;
  }
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === "-" ? -Infinity : Infinity;
  return NOT_A_NUMBER.test(text) ? Number.NaN : text;
}

/**
 * What an unquoted YAML scalar means under YAML 1.1 (https://yaml.org/type/), which is what Ansible reads: `yes` is
 * true, `0644` is octal, `10:30` is 630. Dates stay text.
 */
export function resolveScalar(text: string): string | number | boolean | null {
  if (NUMBER_START.test(text)) return resolveNumber(text);
  if (NULLS.has(text)) return null;
  return BOOLEAN_WORDS.get(text) ?? text;
}
