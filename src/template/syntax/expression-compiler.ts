import type { Node } from "nunjucks/src/nodes.js";
import { isTemplate, SEALED_TEXT } from "../../vars/scope.ts";
import { SyntaxFailure } from "./lexer.ts";
import type {
  Arguments,
  AttributeNode,
  BinaryNode,
  CallNode,
  ComparisonNode,
  FilterNode,
  ItemNode,
  PairsNode,
  SliceNode,
  TestNode,
  UnaryNode,
} from "./nodes.ts";

const LOOKUPS: ReadonlySet<string> = new Set(["lookup", "query", "q"]);
/** The nodes that a lookup's terms are made of as they are written. */
const OF_TERMS: ReadonlySet<string> = new Set(["Literal", "Array", "Tuple", "Pairs", "Binary"]);

/**
 * Turns a tree of nodes into JavaScript: the method `compileKIND` compiles nodes of a kind. The base is not nunjucks' own
 * compiler: almost nothing of it would be used, and all of it would ride in every bundle.
 */
class CodeWriter {
  private code = "";
  private lastTemporary = 0;

  protected fail(message: string, lineno = 0): never {
    throw new SyntaxFailure(message, lineno + 1);
  }

  compile(node: Node): void {
    const method = (this as unknown as Readonly<Record<string, unknown>>)[`compile${node.typename}`];
    if (typeof method !== "function")
      this.fail(`compile: Cannot compile node: ${node.typename}`, node.lineno);
    method.call(this, node);
  }

  compileNodeList(node: Node): void {
    for (const child of node.children as Node[]) this.compile(child);
  }

  write(code: string): void {
    this.code += code;
  }

  protected writeLine(code: string): void {
    this.write(`${code}\n`);
  }

  /** Return a new name for a variable. */
  protected temporary(): string {
    return `t_${++this.lastTemporary}`;
  }

  getCode(): string {
    return this.code;
  }
}

/** Compiles expressions: every operator, lookup and call goes through a runtime that knows Python's rules. */
export class ExpressionCompiler extends CodeWriter {
  /** True within the positional arguments of a lookup, and of what joins texts there. */
  private areTerms = false;

  override compile(node: Node): void {
    const before = this.areTerms;
    if (!OF_TERMS.has(node.typename)) this.areTerms = false;
    super.compile(node);
    this.areTerms = before;
  }

  /** Return the JavaScript literal of a constant. */
  protected text(value: unknown): string {
    return typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  }

  /** Emit `runtime.name(arg, …)`; strings are code, nodes are compiled. */
  private emitRuntime(name: string, ...args: readonly (string | Node)[]): void {
    this.write(`runtime.${name}(`);
    args.forEach((arg, index) => {
      if (index > 0) this.write(", ");
      if (typeof arg === "string") this.write(arg);
      else this.compile(arg);
    });
    this.write(")");
  }

  /** Emit a function that evaluates a node when it is called. */
  protected emitLazily(node: Node, parameters = ""): void {
    this.write(`function (${parameters}) { return `);
    this.compile(node);
    this.write("; }");
  }

  private emitList(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.compile(node);
      this.write(", ");
    }
  }

  /** Emit `[positional], {named}`. `first` emits an argument before the written ones, `last` adds named ones. */
  protected emitArguments(first: (() => void) | null, args: Arguments, last?: () => void): void {
    this.write("[");
    if (first !== null) {
      first();
      this.write(", ");
    }
    this.emitList(args.positional);
    this.areTerms = false;
    if (args.spread !== null) {
      this.write("...");
      this.emitRuntime("iterate", args.spread);
    }
    this.write("], { ");
    for (const [name, value] of args.named) {
      this.write(`[${this.text(name)}]: `);
      this.compile(value);
      this.write(", ");
    }
    if (args.spreadNamed !== null) {
      this.write("...");
      this.emitRuntime("keywords", args.spreadNamed);
      this.write(", ");
    }
    last?.();
    this.write(" }");
  }

  compileLiteral({ value }: Node): void {
    // Literal texts among the terms of a lookup are templates, as in Ansible.
    if (this.areTerms && isTemplate(value)) this.emitRuntime("term", this.text(value), "context");
    else this.write(this.text(value));
  }

  compileFloatLiteral(node: Node): void {
    this.write(`runtime.float(${node.value})`);
  }

  compileSymbol(node: Node): void {
    this.write(`runtime.name(frame, ${this.text(node.value)})`);
  }

  compileArray(node: Node): void {
    this.write("[");
    this.emitList(node.children as Node[]);
    this.write("]");
  }

  compileTuple(node: Node): void {
    this.write("runtime.tuple(");
    this.emitList(node.items as Node[]);
    this.write(")");
  }

  compilePairs({ pairs }: PairsNode): void {
    this.write("runtime.dict([");
    for (const [key, value] of pairs) {
      this.write("[");
      this.emitList([key, value]);
      this.write("], ");
    }
    this.write("])");
  }

  compileInlineIf(node: Node): void {
    this.write("(runtime.truth(");
    this.compile(node.cond as Node);
    this.write(") ? ");
    this.compile(node.body as Node);
    this.write(" : ");
    if (node.else_ === null) this.write("runtime.blank");
    else this.compile(node.else_ as Node);
    this.write(")");
  }

  private emitShortCircuit(name: string, node: Node): void {
    this.write(`runtime.${name}(`);
    this.compile(node.left as Node);
    this.write(", ");
    this.emitLazily(node.right as Node);
    this.write(")");
  }

  compileOr(node: Node): void {
    this.emitShortCircuit("or", node);
  }

  compileAnd(node: Node): void {
    this.emitShortCircuit("and", node);
  }

  compileNot(node: Node): void {
    this.write("!");
    this.emitRuntime("truth", node.target as Node);
  }

  compileBinary({ operator, left, right }: BinaryNode): void {
    this.emitRuntime("binary", this.text(operator), left, right);
  }

  compileUnary({ operator, target }: UnaryNode): void {
    this.emitRuntime("unary", this.text(operator), target);
  }

  compileComparison({ first, rest }: ComparisonNode): void {
    const [only] = rest;
    if (rest.length === 1 && only !== undefined) {
      this.emitRuntime("compare", this.text(only[0]), first, only[1]);
      return;
    }
    this.write("runtime.compareChain(");
    this.compile(first);
    this.write(", [");
    for (const [operator, operand] of rest) {
      this.write(`[${this.text(operator)}, `);
      this.emitLazily(operand);
      this.write("], ");
    }
    this.write("])");
  }

  compileAttribute({ target, name }: AttributeNode): void {
    this.emitRuntime("attribute", target, this.text(name));
  }

  compileItem({ target, key }: ItemNode): void {
    if (key.typename !== "Slice") {
      this.emitRuntime("item", target, key);
      return;
    }
    const { start, stop, step } = key as SliceNode;
    this.emitRuntime("slice", target, start ?? "null", stop ?? "null", step ?? "null");
  }

  compileCall({ callee, args }: CallNode): void {
    this.write("runtime.call(");
    this.compile(callee);
    this.write(", ");
    this.areTerms = callee.typename === "Symbol" && LOOKUPS.has(callee.value as string);
    this.emitArguments(null, args);
    this.areTerms = false;
    this.write(", context)");
  }

  compileApplyFilter({ name, target, args }: FilterNode): void {
    if (target === null) this.fail("a filter without anything to filter");
    if (name === "type_debug" && this.emitTypeDebug(target)) return;
    this.emitFilter(name, () => this.compile(target), args);
  }

  /** Emit the filter for a var or an item, whose place tells more of the type than the value does. */
  private emitTypeDebug(target: Node): boolean {
    const place = placeOf(target);
    if (place === undefined) return false;
    const [holder, key] = place;
    const root = rootOf(holder ?? target);
    this.emitRuntime(
      "typeDebug",
      target,
      holder ?? "null",
      typeof key === "string" ? this.text(key) : key,
      root === undefined ? "null" : this.text(root),
      String(holder?.typename === "Symbol"),
      "context",
    );
    return true;
  }

  private emitFilter(name: string, target: () => void, args: Arguments): void {
    this.write(`runtime.filter(${this.text(name)}, `);
    this.emitArguments(target, args);
    this.write(", context)");
  }

  /** Emit a chain of filters whose innermost target is a JavaScript variable. */
  protected emitFilterChain(filters: Node, variable: string): void {
    const { name, target, args } = filters as FilterNode;
    this.emitFilter(
      name,
      () => (target === null ? this.write(variable) : this.emitFilterChain(target, variable)),
      args,
    );
  }

  compileApplyTest({ name, target, args }: TestNode): void {
    if (name === "vault_encrypted" && placeOf(target) !== undefined) {
      this.write("(");
      this.emitTypeDebug(target);
      this.write(`===${this.text(SEALED_TEXT)})`);
      return;
    }
    this.write(`runtime.test(${this.text(name)}, `);
    this.emitArguments(() => this.compile(target), args);
    this.write(", context)");
  }
}

/** Return the holder and the key of what an expression names; no holder for a var. Undefined for other expressions. */
function placeOf(node: Node): readonly [holder: Node | undefined, key: Node | string] | undefined {
  if (node.typename === "Symbol") return [undefined, node.value as string];
  if (node.typename === "Attribute") return [(node as AttributeNode).target, (node as AttributeNode).name];
  if (node.typename !== "Item") return undefined;
  const { target, key } = node as ItemNode;
  return key.typename === "Slice" ? undefined : [target, key];
}

/** Return the name of the var that a place is in. */
function rootOf(node: Node): string | undefined {
  if (node.typename === "Symbol") return node.value as string;
  const holder = placeOf(node)?.[0];
  return holder === undefined ? undefined : rootOf(holder);
}
