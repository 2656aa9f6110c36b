import { isRecord } from "../core/json.ts";
import { describeSecret, isSecret } from "../core/secret.ts";
import { HIDDEN, isSecretName } from "./secret-name.ts";
import { resolveScalar } from "./yaml-scalar.ts";

function formatScalar(value: unknown): string {
  if (isSecret(value)) return describeSecret(value);
  if (typeof value !== "string")
    return value === undefined ? "null" : (JSON.stringify(value) ?? String(value));
  const ambiguous = resolveScalar(value) !== value || value !== value.trim() || /\p{Cc}/u.test(value);
  return ambiguous ? JSON.stringify(value) : value;
}

function isNested(value: unknown): value is Record<string, unknown> | readonly unknown[] {
  return (Array.isArray(value) && value.length > 0) || (isRecord(value) && Object.keys(value).length > 0);
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
  const flat = JSON.stringify(value);
  if (Array.isArray(value) && value.every((item) => !isNested(item)) && flat.length <= width) {
    return [`[${value.map(formatScalar).join(", ")}]`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first, ...rest] = formatValue(item, width - 2);
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)];
    });
  }
  return Object.entries(value).flatMap(([key, item]) => {
    if (isSecretName(key) && !isNested(item) && !isSecret(item)) return [`${key}: ${HIDDEN}`];
    const lines = formatValue(item, width - key.length - 2);
    if (lines.length === 1 && !(isNested(item) && isRecord(item))) return [`${key}: ${lines[0]}`];
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
