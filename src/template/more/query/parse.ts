import { parseJson } from "../../../core/values/value.ts";
import { fail } from "../../errors.ts";

/** An expression of JMESPath, read. `left` is null where the expression begins with the value itself. */
export type Query =
  | { readonly kind: "current" }
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "index"; readonly at: number }
  | { readonly kind: "slice"; readonly bounds: readonly (number | null)[] }
  | { readonly kind: "then" | "pipe" | "or" | "and"; readonly left: Query; readonly right: Query }
  | { readonly kind: "not" | "flatten" | "reference"; readonly of: Query }
  | { readonly kind: "each" | "values"; readonly of: Query; readonly rest: Query }
  | { readonly kind: "filter"; readonly of: Query; readonly where: Query; readonly rest: Query }
  | { readonly kind: "compare"; readonly operator: string; readonly left: Query; readonly right: Query }
  | { readonly kind: "list"; readonly items: readonly Query[] }
  | { readonly kind: "dict"; readonly items: readonly (readonly [string, Query])[] }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Query[] };

interface Token {
  /** `name`, `number`, `literal`, `end`, or the sign itself. */
  readonly type: string;
  readonly value: unknown;
  readonly at: number;
}

const CURRENT: Query = { kind: "current" };

/** How tightly signs bind, as JMESPath's reference has it; a projection ends before those under 10. */
const BINDING: Readonly<Record<string, number>> = {
  "|": 1,
  "||": 2,
  "&&": 3,
  ...Object.fromEntries(["==", "!=", "<", "<=", ">", ">="].map((sign) => [sign, 5])),
  "[]": 9,
  "*": 20,
  "[?": 21,
  ".": 40,
  "!": 45,
  "{": 50,
  "[": 55,
  "(": 60,
};

const TOKEN =
  /(?<space>\s+)|(?<word>[A-Za-z_]\w*)|(?<number>-?\d+)|"(?<quoted>(?:[^"\\]|\\.)*)"|'(?<raw>(?:[^'\\]|\\[\s\S])*)'|`(?<json>(?:[^`\\]|\\[\s\S])*)`|(?<sign>\[\?|\[\]|\|\||&&|[=!<>]=|[[\](){}.,:@&*|!<>])/uy;

function literal(text: string): unknown {
  const json = text.replaceAll("\\`", "`").trim();
  try {
    return parseJson(json);
  } catch {
    // Words without quotes are texts, as in the first versions of JMESPath.
    return json;
  }
}

function tokens(text: string): readonly Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) fail(`json_query: '${text}' cannot be read from character ${at + 1} on`);
    const { space, word, number, quoted, raw, json, sign } = match.groups ?? {};
    const add = (type: string, value: unknown): void => void found.push({ type, value, at });
    if (word !== undefined) add("word", word);
    else if (number !== undefined) add("number", Number(number));
    else if (quoted !== undefined) add("quoted", parseJson(`"${quoted}"`));
    else if (raw !== undefined) add("literal", raw.replaceAll("\\'", "'"));
    else if (json !== undefined) add("literal", literal(json));
    else if (space === undefined) add(sign ?? "", sign);
    at = TOKEN.lastIndex;
  }
  found.push({ type: "end", value: "", at });
  return found;
}

/** Read an expression of JMESPath, in its grammar of 2015; fail where it does not parse. */
export function parseQuery(text: string): Query {
  const all = tokens(text);
  let next = 0;
  const peek = (ahead = 0): Token => all[Math.min(next + ahead, all.length - 1)] as Token;
  const wrong = (token: Token): never =>
    fail(
      token.type === "end"
        ? `json_query: '${text}' ends too early`
        : `json_query: '${text}' has '${token.value}' at character ${token.at + 1}, which nothing expects there`,
    );
  const take = (...types: readonly string[]): Token => {
    const token = peek();
    if (types.length > 0 && !types.includes(token.type)) wrong(token);
    next += 1;
    return token;
  };
  const skip = (type: string): boolean => {
    if (peek().type !== type) return false;
    next += 1;
    return true;
  };
  const binding = (): number => BINDING[peek().type] ?? 0;

  const expression = (power = 0): Query => {
    let left = prefix(take());
    while (power < binding()) left = infix(take(), left);
    return left;
  };

  /** Read the part behind a projection, which is done for each item. */
  const projected = (power: number): Query => {
    if (binding() < 10) return CURRENT;
    if (peek().type === "[" || peek().type === "[?") return expression(power);
    take(".");
    return dotted(power);
  };

  const dotted = (power: number): Query => {
    if (["word", "quoted", "*"].includes(peek().type)) return expression(power);
    if (skip("[")) return list();
    take("{");
    return dict();
  };

  const listed = <T>(end: string, one: () => T): T[] => {
    const items: T[] = [];
    while (items.length === 0 || skip(",")) items.push(one());
    take(end);
    return items;
  };
  const list = (): Query => ({ kind: "list", items: listed("]", () => expression()) });
  const dict = (): Query => ({
    kind: "dict",
    items: listed("}", () => {
      const name = String(take("word", "quoted").value);
      take(":");
      return [name, expression()] as const;
    }),
  });

  /** Read an index or a slice behind its bracket. */
  const indexed = (left: Query): Query => {
    const bounds: (number | null)[] = [null];
    while (peek().type !== "]") {
      if (skip(":")) {
        if (bounds.push(null) > 3) wrong(peek());
      } else bounds[bounds.length - 1] = Number(take("number").value);
    }
    take("]");
    if (bounds.length === 1) return { kind: "then", left, right: { kind: "index", at: bounds[0] ?? 0 } };
    return {
      kind: "each",
      of: { kind: "then", left, right: { kind: "slice", bounds } },
      rest: projected(BINDING["*"] ?? 0),
    };
  };

  const each = (of: Query): Query => ({ kind: "each", of, rest: projected(BINDING["*"] ?? 0) });
  const flatten = (of: Query): Query => ({
    kind: "each",
    of: { kind: "flatten", of },
    rest: projected(BINDING["[]"] ?? 0),
  });
  const filter = (of: Query): Query => {
    const where = expression();
    take("]");
    return { kind: "filter", of, where, rest: projected(BINDING["[?"] ?? 0) };
  };

  const prefix = (token: Token): Query => {
    switch (token.type) {
      case "literal":
        return { kind: "literal", value: token.value };
      case "word":
      case "quoted":
        if (token.type === "quoted" && peek().type === "(") wrong(peek());
        return { kind: "field", name: String(token.value) };
      case "*":
        return { kind: "values", of: CURRENT, rest: projected(BINDING["*"] ?? 0) };
      case "@":
        return CURRENT;
      case "&":
        return { kind: "reference", of: expression() };
      case "!":
        return { kind: "not", of: expression(BINDING["!"]) };
      case "(": {
        const inner = expression();
        take(")");
        return inner;
      }
      case "[?":
        return filter(CURRENT);
      case "[]":
        return flatten(CURRENT);
      case "{":
        return dict();
      case "[":
        if (peek().type === "number" || peek().type === ":") return indexed(CURRENT);
        if (peek().type === "*" && peek(1).type === "]") {
          next += 2;
          return each(CURRENT);
        }
        return list();
      default:
        return wrong(token);
    }
  };

  const infix = (token: Token, left: Query): Query => {
    switch (token.type) {
      case ".":
        if (skip("*")) return { kind: "values", of: left, rest: projected(BINDING["*"] ?? 0) };
        return { kind: "then", left, right: dotted(BINDING["."] ?? 0) };
      case "|":
        return { kind: "pipe", left, right: expression(BINDING["|"]) };
      case "||":
        return { kind: "or", left, right: expression(BINDING["||"]) };
      case "&&":
        return { kind: "and", left, right: expression(BINDING["&&"]) };
      case "(": {
        if (left.kind !== "field") return wrong(token);
        if (skip(")")) return { kind: "call", name: left.name, args: [] };
        return { kind: "call", name: left.name, args: listed(")", () => expression()) };
      }
      case "[?":
        return filter(left);
      case "[]":
        return flatten(left);
      case "[":
        if (peek().type === "number" || peek().type === ":") return indexed(left);
        take("*");
        take("]");
        return each(left);
      default:
        if (BINDING[token.type] !== 5) return wrong(token);
        return { kind: "compare", operator: token.type, left, right: expression(5) };
    }
  };

  const whole = expression();
  take("end");
  return whole;
}
