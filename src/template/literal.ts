import { PYTHON_NAMES, readPythonLiteral } from "../core/python-literal.ts";
import { Attributes, Float, Func, isDict, isList, Namespace, tuple, Undefined } from "./values.ts";

/** Python's names of values, and JSON's. */
const NAMES = new Map<string, unknown>([...PYTHON_NAMES, ["true", true], ["false", false], ["null", null]]);

/** Return the list, dict or bool that a rendered text is in Python's or JSON's syntax; undefined for any other text. */
export function readLiteral(text: string): unknown {
  if (text === "True" || text === "False") return text === "True";
  if (!/^[[{]/.test(text)) return undefined;
  return readPythonLiteral(text, {
    names: NAMES,
    // A set has no value in templates.
    collection: (kind, items) => (kind === "tuple" ? tuple(...items) : undefined),
  });
}

/** Tell whether a literal can say this value, so that its text need not be read again. */
export function isLiteral(value: unknown): boolean {
  if (isList(value)) return value.every(isLiteral);
  if (isDict(value)) {
    return value instanceof Map
      ? [...value].every(([key, inner]) => isLiteral(key) && isLiteral(inner))
      : Object.values(value).every(isLiteral);
  }
  if (typeof value === "number") return Number.isFinite(value);
  return (
    value instanceof Float ||
    (typeof value !== "function" &&
      !(
        value instanceof Undefined ||
        value instanceof Attributes ||
        value instanceof Func ||
        value instanceof Namespace ||
        value === undefined
      ))
  );
}
