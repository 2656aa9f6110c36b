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
  type WithNode,
  walk,
} from "./nodes.ts";

/** nunjucks' compiler with Jinja's statements and scopes; the code it makes is straight-line and synchronous. */
class JinjaCompiler extends ExpressionCompiler {
  compileRoot(node: Node): void {
    const blocks: BlockNode[] = [];
    walk(node, (below) => {
      if (below.typename === "NamedBlock") blocks.push(below as BlockNode);
    });
    this._emitLine(`var here = { template: ${this.text(this.templateName)}, line: 1 };`);
    this._emit("function root(context, frame) ");
    this.emitBody(() => {
      this._emitLine('var parent = null, before = "";');
      this._compileChildren(node);
      this._emitLine("if (parent) output = before + parent.root(context, context.frame);");
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
    this._emitLine(`return { root: root, here: here, blocks: { __proto__: null, ${table.join(", ")} } };`);
  }

  private emitBlockFunction({ name, body }: BlockNode): void {
    this._emit(`function b_${name}(context, frame) `);
    this.emitBody(() => {
      this._emitLine("var parent = null;");
      if (this.mentions(body, "super")) {
        this._emitLine(
          `frame.set("super", runtime.superBlock(context, ${this.text(name)}, b_${name}, frame));`,
        );
      }
      this.compile(body);
    });
  }

  /** A function's body: collects output, keeps the caller's line, and adds the place to an error that leaves it. */
  private emitBody(content: () => void): void {
    this._emitLine('{ var output = "", line = here.line; try {');
    content();
    this._emitLine(
      "here.line = line; return output; } catch (error) { throw runtime.locate(error, here); } }",
    );
  }

  private emitBodyOf(node: Node): void {
    this._emit("function (frame) ");
    this.emitBody(() => this.compile(node));
  }

  private emitLine(node: Node): void {
    this._emit(`here.line = ${node.lineno + 1}; `);
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
        this._emitLine(`output += ${this.text(child.value)};`);
      } else {
        this.emitLine(child);
        this._emit("output += runtime.print(");
        this.compile(child);
        this._emitLine(");");
      }
    }
  }

  compileIf(node: Node): void {
    this.emitLine(node);
    this._emit("if (runtime.truth(");
    this.compile(node.cond as Node);
    this._emitLine(")) {");
    this.compile(node.body as Node);
    if (node.else_ !== null) {
      this._emitLine("} else {");
      this.compile(node.else_ as Node);
    }
    this._emitLine("}");
  }

  compileLoop(node: ForNode): void {
    this.emitLine(node);
    this._emit("output += runtime.loop(frame, ");
    this.compile(node.iterable);
    this._emit(`, { recursive: ${node.recursive}, assign: function (frame, value) { `);
    this.emitAssignment(node.target, "value");
    this._emit("}, test: ");
    if (node.test === null) this._emit("null");
    else this.emitLazily(node.test, "frame");
    this._emit(", body: ");
    this.emitBodyOf(node.body);
    this._emit(", otherwise: ");
    if (node.otherwise === null) this._emit("null");
    else this.emitBodyOf(node.otherwise);
    this._emitLine(" }, 0);");
  }

  /** Assigns the value of a JavaScript expression to a target. */
  private emitAssignment(target: Node, value: string): void {
    if (target.typename === "Symbol") {
      this._emitLine(`frame.set(${this.text(target.value)}, ${value});`);
    } else if (target.typename === "Attribute") {
      const { target: owner, name } = target as AttributeNode;
      this._emit("runtime.setAttribute(");
      this.compile(owner);
      this._emitLine(`, ${this.text(name)}, ${value});`);
    } else {
      const items = target.items as Node[];
      const unpacked = this._tmpid();
      this._emitLine(`var ${unpacked} = runtime.unpack(${value}, ${items.length});`);
      items.forEach((item, index) => {
        this.emitAssignment(item, `${unpacked}[${index}]`);
      });
    }
  }

  compileAssign(node: AssignNode): void {
    const value = this._tmpid();
    this.emitLine(node);
    this._emit(`var ${value} = `);
    this.compile(node.value);
    this._emitLine(";");
    this.emitAssignment(node.target, value);
  }

  compileAssignBlock(node: AssignBlockNode): void {
    const value = this._tmpid();
    this.emitLine(node);
    this._emit(`var ${value} = (`);
    this.emitBodyOf(node.body);
    this._emitLine(")(frame.push());");
    this.emitFilters(value, node.filters);
    this.emitAssignment(node.target, value);
  }

  private emitFilters(variable: string, filters: Node | null): void {
    if (filters === null) return;
    this._emit(`${variable} = `);
    this.emitFilterChain(filters, variable);
    this._emitLine(";");
  }

  compileFilterBlock(node: FilterBlockNode): void {
    const value = this._tmpid();
    this.emitLine(node);
    this._emit(`var ${value} = (`);
    this.emitBodyOf(node.body);
    this._emitLine(")(frame.push());");
    this.emitFilters(value, node.filters);
    this._emitLine(`output += runtime.print(${value});`);
  }

  compileWith(node: WithNode): void {
    const inner = this._tmpid();
    this.emitLine(node);
    this._emitLine(`var ${inner} = frame.push();`);
    for (const [target, value] of node.assignments) {
      this._emit(`${inner}.set(${this.text(target.value)}, `);
      this.compile(value);
      this._emitLine(");");
    }
    this._emit("output += (");
    this.emitBodyOf(node.body);
    this._emitLine(`)(${inner});`);
  }

  private emitMacro(name: string, { names, defaults }: Parameters, body: Node): void {
    const uses = ["varargs", "kwargs", "caller"].map(
      (special) => `${special}: ${this.mentions(body, special)}`,
    );
    this._emit(`runtime.macro(frame, { name: ${this.text(name)}, parameters: [`);
    for (const parameter of names) {
      const fallback = defaults.get(parameter);
      this._emit(`{ name: ${this.text(parameter)}, fallback: `);
      if (fallback === undefined) this._emit("null");
      else this.emitLazily(fallback, "frame");
      this._emit(" }, ");
    }
    this._emit(`], ${uses.join(", ")} }, `);
    this.emitBodyOf(body);
    this._emit(")");
  }

  compileMacroDefinition({ name, parameters, body }: MacroNode): void {
    this._emit(`frame.set(${this.text(name)}, `);
    this.emitMacro(name, parameters, body);
    this._emitLine(");");
  }

  compileCallBlock(node: CallBlockNode): void {
    this.emitLine(node);
    this._emit("output += runtime.print(runtime.call(");
    this.compile(node.call.callee);
    this._emit(", ");
    this.emitArguments(null, node.call.args, () => {
      this._emit('"caller": ');
      this.emitMacro("caller", node.parameters, node.body);
    });
    this._emitLine(", context));");
  }

  compileNamedBlock({ name, scoped }: BlockNode): void {
    this._emitLine(
      `if (!parent) output += runtime.block(context, ${this.text(name)}, ${scoped ? "frame" : "context.frame"});`,
    );
  }

  compileExtends(node: Node): void {
    this.emitLine(node);
    this._emit("before = output; parent = runtime.extend(context, ");
    this.compile(node.template as Node);
    this._emitLine(");");
  }

  compileIncludeTemplate(node: IncludeNode): void {
    this.emitLine(node);
    this._emit("output += runtime.include(context, ");
    this.compile(node.template);
    this._emitLine(`, ${node.withContext ? "frame" : "null"}, ${node.ignoreMissing});`);
  }

  private emitImport(node: Node, withContext: boolean): void {
    this._emit("runtime.importTemplate(context, ");
    this.compile(node);
    this._emit(`, ${withContext ? "frame" : "null"})`);
  }

  compileImportTemplate(node: ImportNode): void {
    this.emitLine(node);
    this._emit(`frame.set(${this.text(node.target)}, `);
    this.emitImport(node.template, node.withContext);
    this._emitLine(");");
  }

  compileImportNames(node: FromImportNode): void {
    const module = this._tmpid();
    this.emitLine(node);
    this._emit(`var ${module} = `);
    this.emitImport(node.template, node.withContext);
    this._emitLine(";");
    for (const [name, alias] of node.names) {
      this._emitLine(`frame.set(${this.text(alias)}, runtime.attribute(${module}, ${this.text(name)}));`);
    }
  }
}

/** JavaScript for a template: a function body that returns its root and blocks, given `runtime`. */
export function compileTemplate(root: Node, templateName: string): string {
  const compiler = new JinjaCompiler(templateName, false);
  compiler.compile(root);
  return compiler.getCode();
}

/** JavaScript for a lone expression: a function body that returns a function of `context` and `frame`. */
export function compileExpression(expression: Node, templateName: string): string {
  const compiler = new JinjaCompiler(templateName, false);
  compiler._emit("return function (context, frame) { return ");
  compiler.compile(expression);
  compiler._emit("; };");
  return compiler.getCode();
}
