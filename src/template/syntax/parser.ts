import type { Node, NodeList } from "nunjucks/src/nodes.js";
import nunjucksNodes from "nunjucks/src/nodes.js";
import type { Token } from "nunjucks/src/parser.js";
import { ExpressionParser } from "./expression-parser.ts";
import type { LexerOptions } from "./lexer.ts";
import type { Parameters } from "./nodes.ts";

/** nunjucks' parser with the statements of Jinja, and those only. */
class JinjaParser extends ExpressionParser {
  override parseNodes(): Node[] {
    const nodes: Node[] = [];
    for (let token = this.nextToken(); token !== null; token = this.nextToken()) {
      if (token.type === "data") {
        nodes.push(this.output(token, this.builtin("TemplateData", token, token.value)));
      } else if (token.type === "variable-start") {
        nodes.push(this.output(token, this.parseTuple()));
        this.require("variable-end", "'}}'");
      } else {
        const statement = this.parseStatement();
        if (statement === null) break;
        nodes.push(statement);
      }
    }
    return nodes;
  }

  private output(token: Token, node: Node): Node {
    return new nunjucksNodes.Output(token.lineno, token.colno, [node]);
  }

  override parseStatement(): Node | null {
    const token = this.here();
    if (token.type !== "symbol") return this.fail("expected the name of a tag");
    if (this.breakOnBlocks?.includes(token.value)) return null;
    this.nextToken();
    switch (token.value) {
      case "if":
        return this.parseCondition(token);
      case "for":
        return this.parseLoop(token);
      case "set":
        return this.parseAssignment(token);
      case "with":
        return this.parseWith(token);
      case "do":
        return this.fail("unknown tag 'do': Ansible does not enable it; use {% set _ = ... %}", token.lineno);
      case "macro":
        return this.parseMacroDefinition(token);
      case "call":
        return this.parseCallBlock(token);
      case "filter":
        return this.parseFilterBlock(token);
      case "block":
        return this.parseNamedBlock(token);
      case "extends":
        return this.end(this.builtin("Extends", token, this.parseExpression()));
      case "include":
        return this.parseIncludeTemplate(token);
      case "import":
        return this.parseImportTemplate(token);
      case "from":
        return this.parseImportNames(token);
      default:
        return this.fail(this.unknownTag(token), token.lineno);
    }
  }

  private unknownTag(token: Token): string {
    const awaited = this.breakOnBlocks ?? [];
    return awaited.length === 0
      ? `unknown tag '${token.value}'`
      : `unknown tag '${token.value}': expected ${awaited.join(" or ")}`;
  }

  private end<T>(value: T): T {
    this.require("block-end", "'%}'");
    return value;
  }

  /** Parse up to one of these tags and consume its name; return the nodes before it, and the name. */
  private body(opened: Token, ...closers: readonly string[]): [NodeList, string] {
    // Jinja lets a tag that opens a body end as in Python: {% if a: %}.
    this.accept("colon");
    this.require("block-end", "'%}'");
    const nodes = this.parseUntilBlocks(...closers);
    const closer =
      this.nextToken() ??
      this.fail(`'${opened.value}' is never closed: ${closers.at(-1)} is missing`, opened.lineno);
    return [nodes, closer.value];
  }

  private closedBody(opened: Token): NodeList {
    return this.end(this.body(opened, `end${opened.value}`)[0]);
  }

  private parseCondition(token: Token): Node {
    const condition = this.parseTuple();
    const [body, closer] = this.body(token, "elif", "else", "endif");
    if (closer === "elif") return this.builtin("If", token, condition, body, this.parseCondition(token));
    const otherwise = closer === "else" ? this.body(token, "endif")[0] : null;
    return this.end(this.builtin("If", token, condition, body, otherwise));
  }

  private parseLoop(token: Token): Node {
    const target = this.parseTarget((next) => next.value === "in");
    this.require("symbol", "'in'", "in");
    const iterable = this.parseTuple(
      () => this.parseOr(),
      (next) => next.value === "recursive",
    );
    const test = this.skipSymbol("if") ? this.parseExpression() : null;
    const recursive = this.skipSymbol("recursive");
    const [body, closer] = this.body(token, "else", "endfor");
    const otherwise = closer === "else" ? this.body(token, "endfor")[0] : null;
    return this.end(this.node("Loop", token, target, iterable, test, recursive, body, otherwise));
  }

  /** Parse a name, a namespace's attribute, or a tuple of these. */
  private parseTarget(endsAt: (token: Token) => boolean = () => false): Node {
    const single = (): Node => {
      const start = this.here();
      if (this.accept("left-paren")) {
        const inner = this.parseTarget();
        this.require("right-paren", "')'");
        return inner;
      }
      const name = this.require("symbol", "a name to assign to");
      const symbol = this.builtin("Symbol", name, name.value);
      return this.accept("operator", ".")
        ? this.node("Attribute", start, symbol, this.require("symbol", "a name").value)
        : symbol;
    };
    return this.parseTuple(single, (next) => next.value === "=" || endsAt(next));
  }

  private parseAssignment(token: Token): Node {
    const target = this.parseTarget();
    if (this.accept("operator", "=")) return this.end(this.node("Assign", token, target, this.parseTuple()));
    const filters = this.peekToken()?.type === "pipe" ? this.parseFilterChain(null) : null;
    return this.node("AssignBlock", token, target, filters, this.closedBody(token));
  }

  private parseWith(token: Token): Node {
    const assignments: [Node, Node][] = [];
    while (this.peekToken()?.type !== "block-end") {
      if (assignments.length > 0) this.require("comma", "','");
      const name = this.require("symbol", "a name to assign to");
      this.require("operator", "'='", "=");
      assignments.push([this.builtin("Symbol", name, name.value), this.parseExpression()]);
    }
    return this.node("With", token, assignments, this.closedBody(token));
  }

  private parseParameters(): Parameters {
    const names: string[] = [];
    const defaults = new Map<string, Node>();
    this.require("left-paren", "'('");
    while (!this.accept("right-paren")) {
      if (names.length > 0) {
        this.require("comma", "','");
        if (this.accept("right-paren")) break;
      }
      const { value: name } = this.require("symbol", "a parameter's name");
      names.push(name);
      if (this.accept("operator", "=")) defaults.set(name, this.parseExpression());
      else if (defaults.size > 0)
        this.fail(`parameter '${name}' without a default follows one with a default`);
    }
    return { names, defaults };
  }

  private parseMacroDefinition(token: Token): Node {
    const name = this.require("symbol", "the macro's name").value;
    const parameters = this.parseParameters();
    const [body] = this.body(token, "endmacro");
    this.skipSymbol(name);
    return this.end(this.node("MacroDefinition", token, name, parameters, body));
  }

  private parseCallBlock(token: Token): Node {
    const hasParameters = this.peekToken()?.type === "left-paren";
    const parameters = hasParameters
      ? this.parseParameters()
      : { names: [], defaults: new Map<string, Node>() };
    const call = this.parseExpression();
    if (call.typename !== "Call") this.fail("expected a call after 'call'", token.lineno);
    return this.node("CallBlock", token, call, parameters, this.closedBody(token));
  }

  private parseFilterBlock(token: Token): Node {
    return this.node("FilterBlock", token, this.parseFilterChain(null, true), this.closedBody(token));
  }

  private parseNamedBlock(token: Token): Node {
    const name = this.require("symbol", "the block's name").value;
    const scoped = this.skipSymbol("scoped");
    const required = this.skipSymbol("required");
    const [body] = this.body(token, "endblock");
    this.skipSymbol(name);
    return this.end(this.node("NamedBlock", token, name, scoped, required, body));
  }

  private parseContext(ifUnsaid: boolean): boolean {
    return this.parseWithContext() ?? ifUnsaid;
  }

  private parseIncludeTemplate(token: Token): Node {
    const template = this.parseExpression();
    const ignoreMissing = this.skipSymbol("ignore");
    if (ignoreMissing) this.require("symbol", "'missing'", "missing");
    return this.end(this.node("IncludeTemplate", token, template, ignoreMissing, this.parseContext(true)));
  }

  private parseImportTemplate(token: Token): Node {
    const template = this.parseExpression();
    this.require("symbol", "'as'", "as");
    const target = this.require("symbol", "a name").value;
    return this.end(this.node("ImportTemplate", token, template, target, this.parseContext(false)));
  }

  private parseImportNames(token: Token): Node {
    const template = this.parseExpression();
    this.require("symbol", "'import'", "import");
    const names: [string, string][] = [];
    let withContext: boolean | null = null;
    while (this.peekToken()?.type !== "block-end" && withContext === null) {
      if (names.length > 0) this.require("comma", "','");
      withContext = this.parseWithContext();
      if (withContext !== null) break;
      const name = this.require("symbol", "a name to import").value;
      names.push([name, this.skipSymbol("as") ? this.require("symbol", "a name").value : name]);
      withContext = this.parseWithContext();
    }
    return this.end(this.node("ImportNames", token, template, names, withContext ?? false));
  }
}

/** Parse a template. */
export function parseTemplate(source: string, options: LexerOptions): Node {
  return new JinjaParser(source, options).parseAsRoot();
}

/** Parse a lone expression. */
export function parseExpression(expression: string): Node {
  // Without the blanks a leading minus would be whitespace control.
  const parser = new JinjaParser(`{{ ${expression} }}`, {
    trimBlocks: false,
    lstripBlocks: false,
    keepTrailingNewline: true,
  });
  parser.nextToken();
  const node = parser.parseTuple();
  parser.advanceAfterVariableEnd();
  return parser.peekToken() === null ? node : parser.fail("unexpected text after the expression");
}
