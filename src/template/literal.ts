import type { Node } from "nunjucks/src/nodes.js";
import { makeMap } from "../core/value.ts";
import { TemplateFailure } from "./errors.ts";
import type { PairsNode, UnaryNode } from "./nodes.ts";
import { unary } from "./operators.ts";
import { parseExpression } from "./parser.ts";
import {
  Attributes,
  Float,
  Func,
  float,
  isDict,
  isFloat,
  isInt,
  isList,
  Namespace,
  tuple,
  Undefined,
} from "./values.ts";

const TEXTS_AND_COMMENTS = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"|#[^\n]*/g;

class NotLiteral extends Error {}

function literalOf(node: Node): unknown {
  switch (node.typename) {
    case "Literal":
      return node.value;
    case "FloatLiteral":
      return float(node.value as number);
    case "Array":
      return (node.children as Node[]).map(literalOf);
    case "Tuple":
      return tuple(...(node.items as Node[]).map(literalOf));
    case "Pairs":
      return makeMap((node as PairsNode).pairs.map(([key, value]) => [literalOf(key), literalOf(value)]));
    case "Unary": {
      const { operator, target } = node as UnaryNode;
      const value = literalOf(target);
      if (!isInt(value) && !isFloat(value)) throw new NotLiteral();
      return unary(operator, value);
    }
    case "Symbol":
      // JSON's null is understood too; its true and false are Jinja's own.
      if (node.value === "null") return null;
  }
  throw new NotLiteral();
}

/** The list, dict or bool that a rendered text says in Python's or JSON's syntax; undefined for all other text. */
export function readLiteral(text: string): unknown {
  if (text === "True" || text === "False") return text === "True";
  if (!/^[[{]/.test(text)) return undefined;
  let isPython = true;
  const code = text.replace(TEXTS_AND_COMMENTS, (part) => {
    if (part.startsWith("#")) return "";
    // Python has no line break in a text, Jinja has.
    isPython &&= !/(?<!\\)\n/.test(part);
    return part;
  });
  const bare = code.replace(TEXTS_AND_COMMENTS, "''");
  if (!isPython || /(?<![\w.])0\d/.test(bare)) return undefined;
  try {
    return literalOf(parseExpression(code));
  } catch (error) {
    if (error instanceof NotLiteral || error instanceof TemplateFailure) return undefined;
    throw error;
  }
}

/** Whether a value is what a literal says, so that its text need not be read again. */
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
