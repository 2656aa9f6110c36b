import { writeJson } from "../core/json-text.ts";
import { describeSecret, isSecret } from "../core/secret.ts";
import { Data, type Dict, dictEntries, Float, isDict } from "../core/value.ts";
import { HIDDEN, isSecretName } from "./secret-name.ts";
import { resolveScalar } from "./yaml-scalar.ts";

function formatScalar(value: unknown): string {
  if (isSecret(value)) return describeSecret(value);
  if (value instanceof Data) return `!unsafe ${JSON.stringify(value.text)}`;
  if (typeof value === "number" && !Number.isFinite(value))
    return String(value).replace(/Infinity|NaN/, (word) => (word === "NaN" ? ".nan" : ".inf"));
  // YAML 1.1 wants a fraction in what has an exponent.
  if (value instanceof Float) return String(value).replace(/^(-?\d+)e/, "$1.0e");
  if (typeof value !== "string") return writeJson(value);
  const ambiguous = resolveScalar(value) !== value || value !== value.trim() || /\p{Cc}/u.test(value);
  return ambiguous ? JSON.stringify(value) : value;
}

function isNested(value: unknown): value is Dict | readonly unknown[] {
  return (Array.isArray(value) && value.length > 0) || (isDict(value) && dictEntries(value).length > 0);
}

/** A value as lines of YAML, close enough for reading; text is quoted only where it could be taken for something else. */
export function formatValue(value: unknown, width: number): readonly string[] {
  if (typeof value === "string" && /\S\n/.test(value) && !/(?!\n)\p{Cc}/u.test(value)) {
    return [
      "|",
      ...value
        .replace(/\n$/, "")
        .split("\n")
        .map((line) => `  ${line}`),
    ];
  }
  if (!isNested(value)) return [formatScalar(value)];
  const flat = writeJson(value, { separators: [",", ":"] });
  if (Array.isArray(value) && value.every((item) => !isNested(item)) && flat.length <= width) {
    return [`[${value.map(formatScalar).join(", ")}]`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first, ...rest] = formatValue(item, width - 2);
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)];
    });
  }
  return dictEntries(value as Dict).flatMap(([name, item]) => {
    const key = formatScalar(name);
    if (isSecretName(key) && !isNested(item) && !isSecret(item)) return [`${key}: ${HIDDEN}`];
    const lines = formatValue(item, width - key.length - 2);
    if (lines.length === 1 && !(isNested(item) && isDict(item))) return [`${key}: ${lines[0]}`];
    return [`${key}:`, ...lines.map((line) => `  ${line}`)];
  });
}

/** Breaks a line that is wider than `width`, preferably at spaces. */
export function wrapLine(line: string, width: number): readonly string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const space = rest.lastIndexOf(" ", width);
    const at = space > width / 2 ? space : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}
