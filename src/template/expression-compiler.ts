import nunjucksCompiler from "nunjucks/src/compiler.js";
import type { Node } from "nunjucks/src/nodes.js";
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

/** nunjucks' compiler with every operator, lookup and call going through a runtime that knows Python's rules. */
export class ExpressionCompiler extends nunjucksCompiler.Compiler {
  declare protected readonly templateName: string;

  override fail(message: string, lineno = 0): never {
    throw new SyntaxFailure(message, lineno + 1);
  }

  /** A JavaScript literal for a constant. */
  protected text(value: unknown): string {
    return typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  }

  /** Emits `runtime.name(arg, …)`; strings are code, nodes are compiled. */
  private emitRuntime(name: string, ...args: readonly (string | Node)[]): void {
    this._emit(`runtime.${name}(`);
    args.forEach((arg, index) => {
      if (index > 0) this._emit(", ");
      if (typeof arg === "string") this._emit(arg);
      else this.compile(arg);
    });
    this._emit(")");
  }

  /** Emits a function that evaluates a node when called. */
  protected emitLazily(node: Node, parameters = ""): void {
    this._emit(`function (${parameters}) { return `);
    this.compile(node);
    this._emit("; }");
  }

  private emitList(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.compile(node);
      this._emit(", ");
    }
  }

  /** Emits `[positional], {named}`; `first` is what comes before the written arguments, `last` adds named ones. */
  protected emitArguments(first: (() => void) | null, args: Arguments, last?: () => void): void {
    this._emit("[");
    if (first !== null) {
      first();
      this._emit(", ");
    }
    this.emitList(args.positional);
    if (args.spread !== null) {
      this._emit("...");
      this.emitRuntime("iterate", args.spread);
    }
    this._emit("], { ");
    for (const [name, value] of args.named) {
      this._emit(`[${this.text(name)}]: `);
      this.compile(value);
      this._emit(", ");
    }
    if (args.spreadNamed !== null) {
      this._emit("...");
      this.emitRuntime("keywords", args.spreadNamed);
      this._emit(", ");
    }
    last?.();
    this._emit(" }");
  }

  compileLiteral(node: Node): void {
    this._emit(this.text(node.value));
  }

  compileFloatLiteral(node: Node): void {
    this._emit(`runtime.float(${node.value})`);
  }

  compileSymbol(node: Node): void {
    this._emit(`runtime.name(frame, ${this.text(node.value)})`);
  }

  compileArray(node: Node): void {
    this._emit("[");
    this.emitList(node.children as Node[]);
    this._emit("]");
  }

  compileTuple(node: Node): void {
    this._emit("runtime.tuple(");
    this.emitList(node.items as Node[]);
    this._emit(")");
  }

  compilePairs({ pairs }: PairsNode): void {
    this._emit("runtime.dict([");
    for (const [key, value] of pairs) {
      this._emit("[");
      this.emitList([key, value]);
      this._emit("], ");
    }
    this._emit("])");
  }

  compileInlineIf(node: Node): void {
    this._emit("(runtime.truth(");
    this.compile(node.cond as Node);
    this._emit(") ? ");
    this.compile(node.body as Node);
    this._emit(" : ");
    if (node.else_ === null) this._emit("runtime.blank");
    else this.compile(node.else_ as Node);
    this._emit(")");
  }

  private emitShortCircuit(name: string, node: Node): void {
    this._emit(`runtime.${name}(`);
    this.compile(node.left as Node);
    this._emit(", ");
    this.emitLazily(node.right as Node);
    this._emit(")");
  }

  compileOr(node: Node): void {
    this.emitShortCircuit("or", node);
  }

  compileAnd(node: Node): void {
    this.emitShortCircuit("and", node);
  }

  compileNot(node: Node): void {
    this._emit("!");
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
    this._emit("runtime.compareChain(");
    this.compile(first);
    this._emit(", [");
    for (const [operator, operand] of rest) {
      this._emit(`[${this.text(operator)}, `);
      this.emitLazily(operand);
      this._emit("], ");
    }
    this._emit("])");
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
    this._emit("runtime.call(");
    this.compile(callee);
    this._emit(", ");
    this.emitArguments(null, args);
    this._emit(", context)");
  }

  compileApplyFilter({ name, target, args }: FilterNode): void {
    if (target === null) this.fail("a filter without anything to filter");
    this.emitFilter(name, () => this.compile(target), args);
  }

  private emitFilter(name: string, target: () => void, args: Arguments): void {
    this._emit(`runtime.filter(${this.text(name)}, `);
    this.emitArguments(target, args);
    this._emit(", context)");
  }

  /** Emits a chain of filters whose innermost target is a JavaScript variable. */
  protected emitFilterChain(filters: Node, variable: string): void {
    const { name, target, args } = filters as FilterNode;
    this.emitFilter(
      name,
      () => (target === null ? this._emit(variable) : this.emitFilterChain(target, variable)),
      args,
    );
  }

  compileApplyTest({ name, target, args }: TestNode): void {
    this._emit(`runtime.test(${this.text(name)}, `);
    this.emitArguments(() => this.compile(target), args);
    this._emit(", context)");
  }
}
