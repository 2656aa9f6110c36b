import { numberText } from "../core/value.ts";
import { fail, failUndefined } from "./errors.ts";
import {
  Attributes,
  Blank,
  dictEntries,
  Float,
  Func,
  isDict,
  isList,
  Namespace,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

function quoteText(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const body = value.replace(/[\\\n\r\t'"]|\p{C}|[\u2028\u2029\u00a0]/gu, (char) => {
    if (char === "'" || char === '"') return char === quote ? `\\${char}` : char;
    const short = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[char];
    if (short !== undefined) return short;
    const code = char.codePointAt(0) ?? 0;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return quote + body + quote;
}

/** A value as Python's `repr` writes it; fails on undefined. */
export function repr(value: unknown): string {
  if (typeof value === "string") return quoteText(value);
  if (value instanceof Tuple)
    return value.length === 1 ? `(${repr(value[0])},)` : `(${Array.from(value, repr).join(", ")})`;
  if (isList(value)) return `[${value.map(repr).join(", ")}]`;
  if (isDict(value))
    return `{${dictEntries(value)
      .map(([key, item]) => `${repr(key)}: ${repr(item)}`)
      .join(", ")}}`;
  if (value instanceof Attributes) {
    const text = value.get("__repr__");
    if (typeof text === "string") return text;
  }
  return str(value);
}

/** A value as Python's `str` writes it; fails on undefined. */
export function str(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float)
    return numberText(value);
  if (value === undefined) return fail("an argument is missing");
  if (value instanceof Blank) return "";
  if (value instanceof Undefined) return failUndefined(value);
  if (value instanceof Namespace) return `<Namespace ${repr(value.values)}>`;
  if (value instanceof Func) return `<function ${value.name}>`;
  if (value instanceof Attributes) {
    const text = value.get("__str__");
    return typeof text === "string" ? text : `<${value.kind}>`;
  }
  if (isList(value) || isDict(value)) return repr(value);
  if (value instanceof Date) return value.toISOString();
  return `<${typeName(value)}>`;
}
