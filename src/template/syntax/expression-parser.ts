import type { Node } from "nunjucks/src/nodes.js";
import nunjucksNodes from "nunjucks/src/nodes.js";
import type { Token } from "nunjucks/src/parser.js";
import nunjucksParser from "nunjucks/src/parser.js";
import { integer } from "../../core/values/value.ts";
import { type LexerOptions, lex, SyntaxFailure } from "./lexer.ts";
import { type Arguments, jinjaNodes } from "./nodes.ts";

const CONSTANTS: ReadonlyMap<string, boolean | null> = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
const TAGS = {
  BLOCK_START: "{%",
  BLOCK_END: "%}",
  VARIABLE_START: "{{",
  VARIABLE_END: "}}",
  COMMENT_START: "{#",
  COMMENT_END: "#}",
};
const COMPARISONS = new Set(["==", "!=", "<", ">", "<=", ">="]);
const NO_ARGUMENTS: Arguments = { positional: [], named: [], spread: null, spreadNamed: null };
const OPENS_ARGUMENT = new Set([
  "symbol",
  "string",
  "int",
  "float",
  "left-paren",
  "left-bracket",
  "left-curly",
]);

/** nunjucks' parser with Jinja's expression grammar: its precedence, tests, slices, tuples and argument lists. */
export class ExpressionParser extends nunjucksParser.Parser {
  declare protected readonly lastLine: number;

  constructor(template: string, options: LexerOptions) {
    const tokens = lex(template, options);
    let next = 0;
    super({ nextToken: () => tokens[next++] ?? null, tags: TAGS });
    this.lastLine = template.trimEnd().split("\n").length - 1 + (options.firstLine ?? 0);
  }

  override fail(message: string, lineno?: number): never {
    throw new SyntaxFailure(message, (lineno ?? this.peekToken()?.lineno ?? this.lastLine) + 1);
  }

  /** Consume and return the next token if it has this type and one of these values. */
  protected accept(type: string, ...values: readonly string[]): Token | null {
    const token = this.peekToken();
    if (token === null || token.type !== type || (values.length > 0 && !values.includes(token.value)))
      return null;
    return this.nextToken();
  }

  protected require(type: string, what: string, value?: string): Token {
    const token = value === undefined ? this.accept(type) : this.accept(type, value);
    return token ?? this.fail(`expected ${what}, got ${this.describeNext()}`);
  }

  protected describeNext(): string {
    const token = this.peekToken();
    return token === null ? "end of template" : `'${token.value}'`;
  }

  protected node(
    kind: keyof typeof jinjaNodes,
    at: { lineno: number; colno: number },
    ...fields: unknown[]
  ): Node {
    return new jinjaNodes[kind](at.lineno, at.colno, ...fields);
  }

  protected builtin(kind: string, at: { lineno: number; colno: number }, ...fields: unknown[]): Node {
    const NodeClass = nunjucksNodes[kind] as typeof nunjucksNodes.Node;
    return new NodeClass(at.lineno, at.colno, ...fields);
  }

  protected here(): Token {
    return this.peekToken() ?? this.fail("unexpected end of template");
  }

  override parseExpression(): Node {
    let node = this.parseOr();
    while (this.skipSymbol("if")) {
      const condition = this.parseOr();
      const otherwise = this.skipSymbol("else") ? this.parseExpression() : null;
      node = this.builtin("InlineIf", node, condition, node, otherwise);
    }
    return node;
  }

  /** Parse an expression, or several separated by commas: a tuple. */
  parseTuple(
    parse: () => Node = () => this.parseExpression(),
    endsAt: (token: Token) => boolean = () => false,
  ): Node {
    const start = this.here();
    const items: Node[] = [];
    let isTuple = false;
    for (;;) {
      const token = this.peekToken();
      if (token === null || /-end$|^right-/.test(token.type) || endsAt(token)) break;
      items.push(parse());
      if (!this.accept("comma")) break;
      isTuple = true;
    }
    const [only] = items;
    if (only === undefined) return this.fail(`expected an expression, got ${this.describeNext()}`);
    return isTuple ? this.node("Tuple", start, items) : only;
  }

  protected parseOr(): Node {
    let node = this.parseAnd();
    while (this.skipSymbol("or")) node = this.builtin("Or", node, node, this.parseAnd());
    return node;
  }

  private parseAnd(): Node {
    let node = this.parseNot();
    while (this.skipSymbol("and")) node = this.builtin("And", node, node, this.parseNot());
    return node;
  }

  private parseNot(): Node {
    const token = this.accept("symbol", "not");
    return token === null ? this.parseComparison() : this.builtin("Not", token, this.parseNot());
  }

  private parseComparison(): Node {
    const first = this.parseSum();
    const rest: [string, Node][] = [];
    for (;;) {
      const token = this.peekToken();
      if (token?.type === "operator" && COMPARISONS.has(token.value)) {
        this.nextToken();
        rest.push([token.value, this.parseSum()]);
      } else if (this.skipSymbol("in")) {
        rest.push(["in", this.parseSum()]);
      } else if (this.skipSymbol("not")) {
        this.require("symbol", "'in' after 'not'", "in");
        rest.push(["not in", this.parseSum()]);
      } else {
        return rest.length === 0 ? first : this.node("Comparison", first, first, rest);
      }
    }
  }

  private parseBinary(operand: () => Node, type: string, ...operators: readonly string[]): Node {
    let node = operand();
    for (
      let token = this.accept(type, ...operators);
      token !== null;
      token = this.accept(type, ...operators)
    ) {
      node = this.node("Binary", token, token.value, node, operand());
    }
    return node;
  }

  private parseSum(): Node {
    return this.parseBinary(() => this.parseConcatenation(), "operator", "+", "-");
  }

  private parseConcatenation(): Node {
    return this.parseBinary(() => this.parseProduct(), "tilde");
  }

  private parseProduct(): Node {
    return this.parseBinary(() => this.parsePower(), "operator", "*", "/", "//", "%");
  }

  private parsePower(): Node {
    return this.parseBinary(() => this.parseUnary(true), "operator", "**");
  }

  private parseUnary(withFilter: boolean): Node {
    const sign = this.accept("operator", "-", "+");
    const operand =
      sign === null ? this.parsePrimary() : this.node("Unary", sign, sign.value, this.parseUnary(false));
    const node = this.parsePostfix(operand);
    return withFilter ? this.parseFilters(node) : node;
  }

  private parsePrimary(): Node {
    const token = this.nextToken() ?? this.fail("unexpected end of template");
    switch (token.type) {
      case "symbol": {
        const constant = CONSTANTS.get(token.value);
        return constant === undefined
          ? this.builtin("Symbol", token, token.value)
          : this.builtin("Literal", token, constant);
      }
      case "string": {
        let text = token.value;
        for (let more = this.accept("string"); more !== null; more = this.accept("string"))
          text += more.value;
        return this.builtin("Literal", token, text);
      }
      case "int":
        return this.builtin("Literal", token, integer(BigInt(token.value)));
      case "float":
        return this.node("FloatLiteral", token, Number(token.value));
      case "left-paren": {
        if (this.accept("right-paren")) return this.node("Tuple", token, []);
        const inner = this.parseTuple();
        this.require("right-paren", "')'");
        return inner;
      }
      case "left-bracket":
        return new nunjucksNodes.Array(token.lineno, token.colno, this.parseItems("right-bracket"));
      case "left-curly":
        return this.parseDict(token);
      default:
        return this.fail(`unexpected '${token.value}'`, token.lineno);
    }
  }

  private parseItems(closer: string): Node[] {
    const items: Node[] = [];
    while (!this.accept(closer)) {
      if (items.length > 0) {
        this.require("comma", "','");
        if (this.accept(closer)) break;
      }
      items.push(this.parseExpression());
    }
    return items;
  }

  private parseDict(start: Token): Node {
    const pairs: [Node, Node][] = [];
    while (!this.accept("right-curly")) {
      if (pairs.length > 0) {
        this.require("comma", "','");
        if (this.accept("right-curly")) break;
      }
      const key = this.parseExpression();
      this.require("colon", "':'");
      pairs.push([key, this.parseExpression()]);
    }
    return this.node("Pairs", start, pairs);
  }

  protected parsePostfix(start: Node): Node {
    let node = start;
    for (;;) {
      const token = this.peekToken();
      if (token?.type === "operator" && token.value === ".") {
        this.nextToken();
        const name = this.nextToken();
        if (name?.type === "int")
          node = this.node("Item", token, node, this.builtin("Literal", name, Number(name.value)));
        else if (name?.type === "symbol") node = this.node("Attribute", token, node, name.value);
        else this.fail("expected a name or number after '.'", token.lineno);
      } else if (token?.type === "left-bracket") {
        this.nextToken();
        const key = this.parseTuple(() => this.parseSubscript());
        this.require("right-bracket", "']'");
        node = this.node("Item", token, node, key);
      } else if (token?.type === "left-paren") {
        node = this.node("Call", token, node, this.parseArguments());
      } else {
        return node;
      }
    }
  }

  private parseSubscript(): Node {
    const start = this.here();
    const part = (): Node | null => {
      const type = this.peekToken()?.type ?? "";
      return ["colon", "comma", "right-bracket"].includes(type) ? null : this.parseExpression();
    };
    const first = part();
    if (!this.accept("colon")) return first ?? this.fail("expected an index");
    const stop = part();
    const step = this.accept("colon") ? part() : null;
    return this.node("Slice", start, first, stop, step);
  }

  protected parseArguments(): Arguments {
    this.require("left-paren", "'('");
    const positional: Node[] = [];
    const named: [string, Node][] = [];
    let spread: Node | null = null;
    let spreadNamed: Node | null = null;
    let count = 0;
    while (!this.accept("right-paren")) {
      if (count++ > 0) {
        this.require("comma", "','");
        if (this.accept("right-paren")) break;
      }
      if (this.accept("operator", "*")) spread = this.parseExpression();
      else if (this.accept("operator", "**")) spreadNamed = this.parseExpression();
      else {
        const value = this.parseExpression();
        if (value.typename === "Symbol" && this.accept("operator", "="))
          named.push([value.value as string, this.parseExpression()]);
        else if (named.length > 0) this.fail("a positional argument follows one given by name");
        else positional.push(value);
      }
    }
    return { positional, named, spread, spreadNamed };
  }

  private parseDottedName(what: string): string {
    let name = this.require("symbol", what).value;
    while (this.accept("operator", ".")) name += `.${this.require("symbol", what).value}`;
    return name;
  }

  private parseFilters(start: Node): Node {
    let node = start;
    for (;;) {
      if (this.peekToken()?.type === "pipe") node = this.parseFilterChain(node);
      else if (this.skipSymbol("is")) node = this.parseTest(node);
      else if (this.peekToken()?.type === "left-paren")
        node = this.node("Call", node, node, this.parseArguments());
      else return node;
    }
  }

  /** Parse `| name(args)` repeatedly; in a filter block the first name has no pipe before it. */
  protected parseFilterChain(target: Node | null, startInline = false): Node {
    let node = target;
    for (let first = startInline; first || this.accept("pipe") !== null; first = false) {
      const token = this.here();
      const name = this.parseDottedName("a filter's name");
      const args = this.peekToken()?.type === "left-paren" ? this.parseArguments() : NO_ARGUMENTS;
      node = this.node("ApplyFilter", token, name, node, args);
    }
    return node ?? this.fail("expected a filter");
  }

  private parseTest(target: Node): Node {
    const token = this.here();
    const negated = this.skipSymbol("not");
    const name = this.parseDottedName("a test's name");
    const node = this.node("ApplyTest", token, name, target, this.parseTestArguments());
    return negated ? this.builtin("Not", token, node) : node;
  }

  private parseTestArguments(): Arguments {
    const next = this.peekToken();
    if (next?.type === "left-paren") return this.parseArguments();
    if (next === null || !OPENS_ARGUMENT.has(next.type)) return NO_ARGUMENTS;
    if (next.type === "symbol" && ["else", "or", "and", "if", "is", "in", "not"].includes(next.value)) {
      if (next.value === "is") this.fail("tests cannot be chained with 'is'");
      return NO_ARGUMENTS;
    }
    return { ...NO_ARGUMENTS, positional: [this.parsePostfix(this.parsePrimary())] };
  }
}
