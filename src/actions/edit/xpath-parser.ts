import { printable, VolleyError } from "../../core/errors.ts";
import { splitName } from "./xml-document.ts";

// XPath 1.0: from texts to expressions. Left out: the axis `namespace`, variables, id() and lang().

/** A test of nodes: by name (`*` for any), or by type. */
export type NodeTest =
  | { readonly prefix: string; readonly local: string }
  | { readonly type: "node" | "text" | "comment" | "processing-instruction" };

/** A step of a path. */
export interface Step {
  readonly axis: string;
  readonly test: NodeTest;
  readonly predicates: readonly Expression[];
}

/** An expression as a tree. */
export type Expression =
  | { readonly kind: "literal"; readonly value: string | number }
  | {
      readonly kind: "operator";
      readonly name: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "negative"; readonly of: Expression }
  | { readonly kind: "call"; readonly name: FunctionName; readonly args: readonly Expression[] }
  | { readonly kind: "filter"; readonly of: Expression; readonly predicates: readonly Expression[] }
  | {
      readonly kind: "path";
      /** The nodes to start from: those of an expression, the document (`/`), or the context. */
      readonly from: Expression | "document" | "context";
      readonly steps: readonly Step[];
    };

/** The functions that expressions may call. */
const FUNCTION_NAMES = [
  "last",
  "position",
  "count",
  "name",
  "local-name",
  "namespace-uri",
  "string",
  "concat",
  "starts-with",
  "contains",
  "substring-before",
  "substring-after",
  "substring",
  "string-length",
  "normalize-space",
  "translate",
  "boolean",
  "not",
  "true",
  "false",
  "number",
  "sum",
  "floor",
  "ceiling",
  "round",
] as const;

/** The name of a function. */
export type FunctionName = (typeof FUNCTION_NAMES)[number];

const AXES: ReadonlySet<string> = new Set([
  ...["child", "descendant", "descendant-or-self", "parent", "ancestor", "ancestor-or-self", "self"],
  ...["attribute", "following-sibling", "preceding-sibling", "following", "preceding"],
]);

const NAME = "[A-Za-z_\\u0080-\\uffff][-.0-9A-Za-z_\\u0080-\\uffff]*";
const TOKEN = new RegExp(
  `\\s*(?:("[^"]*"|'[^']*')|(\\d+(?:\\.\\d*)?|\\.\\d+)|(::|//|\\.\\.|!=|<=|>=|[-+()[\\]@,/|.=<>*$])|(${NAME}(?::(?:${NAME}|\\*))?))`,
  "y",
);

interface Token {
  readonly kind: "text" | "number" | "sign" | "name";
  readonly text: string;
}

function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; source.slice(at).trim() !== ""; at = TOKEN.lastIndex) {
    const [, text, number, sign, name] =
      TOKEN.exec(source) ?? fail(source, `it cannot be read from "${source.slice(at)}" on`);
    if (text !== undefined) tokens.push({ kind: "text", text: text.slice(1, -1) });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign });
    else tokens.push({ kind: "name", text: name! });
  }
  return tokens;
}

/** Characters of an expression in a message, at most. */
export const MAX_SHOWN = 300;
/** Words of an expression, at most. */
const MAX_TOKENS = 2_000;
/** Expressions within expressions, at most. */
const MAX_DEPTH = 200;

function fail(source: string, problem: string): never {
  throw new VolleyError(
    "ACTION_FAILED",
    `Syntax error in xpath expression: ${printable(source, MAX_SHOWN)} (${printable(problem, MAX_SHOWN)})`,
  );
}

/** The operators, the weakest first; those of a row bind equally. */
const OPERATORS = [
  ["or"],
  ["and"],
  ["=", "!="],
  ["<", "<=", ">", ">="],
  ["+", "-"],
  ["*", "div", "mod"],
] as const;

/** Parse an expression. Fails with `ACTION_FAILED`. */
export function parseXpath(source: string): Expression {
  const tokens = tokenize(source);
  if (tokens.length > MAX_TOKENS) fail(source, `it has more than ${MAX_TOKENS} words`);
  let at = 0;
  let depth = 0;
  const nested = <T>(parse: () => T): T => {
    if (++depth > MAX_DEPTH) fail(source, `it is nested more than ${MAX_DEPTH} deep`);
    const parsed = parse();
    depth--;
    return parsed;
  };
  const whole = (): Expression => nested(() => binary(0));
  const peek = (offset = 0): string | undefined =>
    tokens[at + offset]?.kind === "text" ? undefined : tokens[at + offset]?.text;
  const accept = (text: string): boolean => {
    if (peek() !== text) return false;
    at++;
    return true;
  };
  const expect = (text: string): void => {
    if (!accept(text)) fail(source, `"${text}" is missing`);
  };

  const binary = (level: number): Expression => {
    const names = OPERATORS[level];
    if (names === undefined) return unary();
    let left = binary(level + 1);
    for (;;) {
      const name = names.find((operator) => peek() === operator);
      if (name === undefined) return left;
      at++;
      left = { kind: "operator", name, left, right: binary(level + 1) };
    }
  };
  const unary = (): Expression => (accept("-") ? { kind: "negative", of: nested(unary) } : union());
  const union = (): Expression => {
    let left = path();
    while (accept("|")) left = { kind: "operator", name: "|", left, right: path() };
    return left;
  };
  const isCall = (): boolean =>
    tokens[at]?.kind === "name" &&
    peek(1) === "(" &&
    !/^(?:node|text|comment|processing-instruction)$/.test(peek()!);
  const path = (): Expression => {
    const token = tokens[at];
    if (token?.kind === "text" || token?.kind === "number" || peek() === "(" || isCall()) {
      const of = primary();
      const predicates = predicateList();
      const filtered: Expression = predicates.length === 0 ? of : { kind: "filter", of, predicates };
      if (peek() !== "/" && peek() !== "//") return filtered;
      return { kind: "path", from: filtered, steps: relative([]) };
    }
    if (peek() === "//") return { kind: "path", from: "document", steps: relative([]) };
    if (accept("/")) return { kind: "path", from: "document", steps: startsStep() ? relative([step()]) : [] };
    return { kind: "path", from: "context", steps: relative([step()]) };
  };
  const startsStep = (): boolean =>
    tokens[at]?.kind === "name" || ["@", ".", "..", "*"].includes(peek() ?? "");
  const relative = (first: readonly Step[]): readonly Step[] => {
    const steps = [...first];
    for (;;) {
      if (accept("//")) steps.push({ axis: "descendant-or-self", test: { type: "node" }, predicates: [] });
      else if (!accept("/")) return steps;
      steps.push(step());
    }
  };
  const step = (): Step => {
    if (accept(".")) return { axis: "self", test: { type: "node" }, predicates: [] };
    if (accept("..")) return { axis: "parent", test: { type: "node" }, predicates: [] };
    let axis = accept("@") ? "attribute" : "child";
    if (peek(1) === "::") {
      axis = peek()!;
      if (!AXES.has(axis)) fail(source, `there is no axis "${axis}"`);
      at += 2;
    }
    return { axis, test: nodeTest(), predicates: predicateList() };
  };
  const nodeTest = (): NodeTest => {
    const token = tokens[at++];
    if (token === undefined || token.kind === "text" || token.kind === "number")
      fail(source, "a step has no name");
    const { text } = token;
    if (text === "*") return { prefix: "", local: "*" };
    if (token.kind !== "name") fail(source, `"${text}" is no name`);
    if (accept("(")) {
      if (text !== "node" && text !== "text" && text !== "comment" && text !== "processing-instruction")
        fail(source, `"${text}()" is no test of nodes`);
      expect(")");
      return { type: text };
    }
    return splitName(text);
  };
  const predicateList = (): readonly Expression[] => {
    const predicates: Expression[] = [];
    while (accept("[")) {
      predicates.push(whole());
      expect("]");
    }
    return predicates;
  };
  const primary = (): Expression => {
    const token = tokens[at++]!;
    if (token.kind === "text") return { kind: "literal", value: token.text };
    if (token.kind === "number") return { kind: "literal", value: Number(token.text) };
    if (token.text === "(") {
      const inner = whole();
      expect(")");
      return inner;
    }
    const name = FUNCTION_NAMES.find((each) => each === token.text);
    if (name === undefined) fail(source, `the function ${token.text}() is not supported`);
    expect("(");
    const args: Expression[] = [];
    if (!accept(")")) {
      do args.push(whole());
      while (accept(","));
      expect(")");
    }
    return { kind: "call", name, args };
  };

  const parsed = whole();
  if (at < tokens.length) fail(source, `"${tokens[at]!.text}" is not expected`);
  return parsed;
}
