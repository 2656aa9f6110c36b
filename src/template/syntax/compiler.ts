import type { Node } from "nunjucks/src/nodes.js";
import { ExpressionCompiler } from "./expression-compiler.ts";
import {
  type AssignBlockNode,
  type AssignNode,
  type AttributeNode,
  type BlockNode,
  type CallBlockNode,
  type FilterBlockNode,
  type ForNode,
  type FromImportNode,
  type ImportNode,
  type IncludeNode,
  type MacroNode,
  type Parameters,
  type Piece,
  pieceOf,
  type WithNode,
  walk,
} from "./nodes.ts";

/** Compiles Jinja's statements and scopes to synchronous code. */
class JinjaCompiler extends ExpressionCompiler {
  /** True where the pieces of what is printed are noted. */
  notesPieces = false;

  /** Emit that a piece was printed. */
  private emitPiece(piece: Piece): void {
    if (this.notesPieces) this.writeLine(`runtime.pieces.push(${JSON.stringify(piece)});`);
  }

  compileRoot(node: Node): void {
    const blocks: BlockNode[] = [];
    walk(node, (below) => {
      if (below.typename === "NamedBlock") blocks.push(below as BlockNode);
    });
    this.writeLine("var here = { template: name, line: 1 };");
    this.write("function root(context, frame) ");
    this.emitBody(() => {
      this.writeLine('var parent = null, before = "";');
      this.compileNodeList(node);
      this.writeLine("if (parent) output = before + parent.root(context, context.frame);");
    });
    const seen = new Set<string>();
    for (const block of blocks) {
      if (seen.has(block.name)) this.fail(`block '${block.name}' is defined twice`, block.lineno);
      seen.add(block.name);
      this.emitBlockFunction(block);
    }
    const table = blocks.map(
      ({ name, required }) => `${this.text(name)}: { render: b_${name}, required: ${required} }`,
    );
    this.writeLine(`return { root: root, here: here, blocks: { __proto__: null, ${table.join(", ")} } };`);
  }

  private emitBlockFunction({ name, body }: BlockNode): void {
    this.write(`function b_${name}(context, frame) `);
    this.emitBody(() => {
      this.writeLine("var parent = null;");
      if (this.mentions(body, "super")) {
        this.writeLine(
          `frame.set("super", runtime.superBlock(context, ${this.text(name)}, b_${name}, frame));`,
        );
      }
      this.compile(body);
    });
  }

  /** Emit a function's body, which collects output, restores the caller's line, and adds the place to an error. */
  private emitBody(content: () => void): void {
    this.writeLine('{ var output = "", line = here.line; try {');
    content();
    this.writeLine(
      "here.line = line; return output; } catch (error) { throw runtime.locate(error, here); } }",
    );
  }

  private emitBodyOf(node: Node): void {
    this.write("function (frame) ");
    this.emitBody(() => this.compile(node));
  }

  private emitLine(node: Node): void {
    this.write(`here.line = ${node.lineno + 1}; `);
  }

  private mentions(node: Node, name: string): boolean {
    let found = false;
    walk(node, (below) => {
      found ||= below.typename === "Symbol" && below.value === name;
    });
    return found;
  }

  compileOutput(node: Node): void {
    for (const child of node.children as Node[]) {
      if (child.typename === "TemplateData") {
        this.writeLine(`output += ${this.text(child.value)};`);
        this.emitPiece(false);
      } else {
        this.emitLine(child);
        this.write("output += runtime.print(");
        this.compile(child);
        this.writeLine(");");
        this.emitPiece(pieceOf(child));
      }
    }
  }

  compileIf(node: Node): void {
    this.emitLine(node);
    this.write("if (runtime.truth(");
    this.compile(node.cond as Node);
    this.writeLine(")) {");
    this.compile(node.body as Node);
    if (node.else_ !== null) {
      this.writeLine("} else {");
      this.compile(node.else_ as Node);
    }
    this.writeLine("}");
  }

  compileLoop(node: ForNode): void {
    this.emitLine(node);
    this.write("output += runtime.loop(frame, ");
    this.compile(node.iterable);
    this.write(`, { recursive: ${node.recursive}, assign: function (frame, value) { `);
    this.emitAssignment(node.target, "value");
    this.write("}, test: ");
    if (node.test === null) this.write("null");
    else this.emitLazily(node.test, "frame");
    this.write(", body: ");
    this.emitBodyOf(node.body);
    this.write(", otherwise: ");
    if (node.otherwise === null) this.write("null");
    else this.emitBodyOf(node.otherwise);
    this.writeLine(" }, 0);");
  }

  /** Emit the assignment of a JavaScript expression to a target. */
  private emitAssignment(target: Node, value: string): void {
    if (target.typename === "Symbol") {
      this.writeLine(`frame.set(${this.text(target.value)}, ${value});`);
    } else if (target.typename === "Attribute") {
      const { target: owner, name } = target as AttributeNode;
      this.write("runtime.setAttribute(");
      this.compile(owner);
      this.writeLine(`, ${this.text(name)}, ${value});`);
    } else {
      const items = target.items as Node[];
      const unpacked = this.temporary();
      this.writeLine(`var ${unpacked} = runtime.unpack(${value}, ${items.length});`);
      items.forEach((item, index) => {
        this.emitAssignment(item, `${unpacked}[${index}]`);
      });
    }
  }

  compileAssign(node: AssignNode): void {
    const value = this.temporary();
    this.emitLine(node);
    this.write(`var ${value} = `);
    this.compile(node.value);
    this.writeLine(";");
    this.emitAssignment(node.target, value);
  }

  compileAssignBlock(node: AssignBlockNode): void {
    const value = this.temporary();
    this.emitLine(node);
    this.write(`var ${value} = (`);
    this.emitBodyOf(node.body);
    this.writeLine(")(frame.push());");
    this.emitFilters(value, node.filters);
    this.emitAssignment(node.target, value);
  }

  private emitFilters(variable: string, filters: Node | null): void {
    if (filters === null) return;
    this.write(`${variable} = `);
    this.emitFilterChain(filters, variable);
    this.writeLine(";");
  }

  compileFilterBlock(node: FilterBlockNode): void {
    const value = this.temporary();
    this.emitLine(node);
    this.write(`var ${value} = (`);
    this.emitBodyOf(node.body);
    this.writeLine(")(frame.push());");
    this.emitFilters(value, node.filters);
    this.writeLine(`output += runtime.print(${value});`);
    this.emitPiece(false);
  }

  compileWith(node: WithNode): void {
    const inner = this.temporary();
    this.emitLine(node);
    this.writeLine(`var ${inner} = frame.push();`);
    for (const [target, value] of node.assignments) {
      this.write(`${inner}.set(${this.text(target.value)}, `);
      this.compile(value);
      this.writeLine(");");
    }
    this.write("output += (");
    this.emitBodyOf(node.body);
    this.writeLine(`)(${inner});`);
  }

  private emitMacro(name: string, { names, defaults }: Parameters, body: Node): void {
    const uses = ["varargs", "kwargs", "caller"].map(
      (special) => `${special}: ${this.mentions(body, special)}`,
    );
    this.write(`runtime.macro(frame, { name: ${this.text(name)}, parameters: [`);
    for (const parameter of names) {
      const fallback = defaults.get(parameter);
      this.write(`{ name: ${this.text(parameter)}, fallback: `);
      if (fallback === undefined) this.write("null");
      else this.emitLazily(fallback, "frame");
      this.write(" }, ");
    }
    this.write(`], ${uses.join(", ")} }, `);
    this.emitBodyOf(body);
    this.write(")");
  }

  compileMacroDefinition({ name, parameters, body }: MacroNode): void {
    this.write(`frame.set(${this.text(name)}, `);
    this.emitMacro(name, parameters, body);
    this.writeLine(");");
  }

  compileCallBlock(node: CallBlockNode): void {
    this.emitLine(node);
    this.write("output += runtime.print(runtime.call(");
    this.compile(node.call.callee);
    this.write(", ");
    this.emitArguments(null, node.call.args, () => {
      this.write('"caller": ');
      this.emitMacro("caller", node.parameters, node.body);
    });
    this.writeLine(", context));");
    this.emitPiece(false);
  }

  compileNamedBlock({ name, scoped }: BlockNode): void {
    this.writeLine(
      `if (!parent) output += runtime.block(context, ${this.text(name)}, ${scoped ? "frame" : "context.frame"});`,
    );
  }

  compileExtends(node: Node): void {
    this.emitLine(node);
    this.write("before = output; parent = runtime.extend(context, ");
    this.compile(node.template as Node);
    this.writeLine(");");
  }

  compileIncludeTemplate(node: IncludeNode): void {
    this.emitLine(node);
    this.write("output += runtime.include(context, ");
    this.compile(node.template);
    this.writeLine(`, ${node.withContext ? "frame" : "null"}, ${node.ignoreMissing});`);
    this.emitPiece(false);
  }

  private emitImport(node: Node, withContext: boolean): void {
    this.write("runtime.importTemplate(context, ");
    this.compile(node);
    this.write(`, ${withContext ? "frame" : "null"})`);
  }

  compileImportTemplate(node: ImportNode): void {
    this.emitLine(node);
    this.write(`frame.set(${this.text(node.target)}, `);
    this.emitImport(node.template, node.withContext);
    this.writeLine(");");
  }

  compileImportNames(node: FromImportNode): void {
    const module = this.temporary();
    this.emitLine(node);
    this.write(`var ${module} = `);
    this.emitImport(node.template, node.withContext);
    this.writeLine(";");
    for (const [name, alias] of node.names) {
      this.writeLine(`frame.set(${this.text(alias)}, runtime.attribute(${module}, ${this.text(name)}));`);
    }
  }
}

/**
 * Compile a template to JavaScript: a function body that returns its root and blocks, given `runtime` and the template's
 * `name`. `notesPieces`: what is printed is noted in `runtime.pieces`, too.
 */
export function compileTemplate(root: Node, notesPieces = false): string {
  const compiler = new JinjaCompiler();
  compiler.notesPieces = notesPieces;
  compiler.compile(root);
  return compiler.getCode();
}

/** Compile a lone expression to JavaScript: a function body that returns a function of `context` and `frame`. */
export function compileExpression(expression: Node): string {
  const compiler = new JinjaCompiler();
  compiler.write("return function (context, frame) { return ");
  compiler.compile(expression);
  compiler.write("; };");
  return compiler.getCode();
}
