import type { Node } from "nunjucks/src/nodes.js";
import { SyntaxFailure } from "./lexer.ts";

/**
 * Turns a tree of nodes into JavaScript: what compiles a node of a kind is the method `compileKIND`. nunjucks' own
 * compiler is not the base: next to nothing of it would be left, and all of it would ride in every bundle.
 */
export class CodeWriter {
  private code = "";
  private lastTemporary = 0;

  constructor(protected readonly templateName: string) {}

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

  /** A name for a variable that nothing else has. */
  protected temporary(): string {
    return `t_${++this.lastTemporary}`;
  }

  getCode(): string {
    return this.code;
  }
}
