/** The parts of nunjucks 3.2.4 this layer builds on; @types/nunjucks describes only its public face. */
declare module "nunjucks/src/nodes.js" {
  export interface Node {
    readonly lineno: number;
    readonly colno: number;
    readonly typename: string;
    readonly fields: readonly string[];
    /** Fields are set by name from the constructor's arguments. */
    [field: string]: unknown;
  }
  export interface NodeList extends Node {
    readonly children: Node[];
  }
  export interface NodeClass {
    new (lineno: number, colno: number, ...fields: unknown[]): Node;
    extend(name: string, properties?: { fields: readonly string[] }): NodeClass;
  }
  export interface NodeListClass {
    new (lineno: number, colno: number, children?: Node[]): NodeList;
  }
  interface Nodes {
    readonly Node: NodeClass;
    readonly NodeList: NodeListClass;
    readonly Output: NodeListClass;
    readonly Array: NodeListClass;
    readonly Dict: NodeListClass;
    readonly [name: string]: NodeClass | NodeListClass;
  }
  const nodes: Nodes;
  export default nodes;
}

declare module "nunjucks/src/parser.js" {
  import type { Node, NodeList } from "nunjucks/src/nodes.js";
  export interface Token {
    readonly type: string;
    readonly value: string;
    /** Counted from 0, as in nunjucks. */
    readonly lineno: number;
    readonly colno: number;
  }
  export class Parser {
    constructor(tokens: { nextToken(): Token | null; readonly tags: Readonly<Record<string, string>> });
    breakOnBlocks: readonly string[] | null;
    nextToken(): Token | null;
    peekToken(): Token | null;
    skipSymbol(value: string): boolean;
    parseUntilBlocks(...names: string[]): NodeList;
    parseNodes(): Node[];
    parseAsRoot(): Node;
    parseWithContext(): boolean | null;
    parseExpression(): Node;
    parseStatement(): Node | null;
    advanceAfterVariableEnd(): void;
    fail(message: string, lineno?: number, colno?: number): never;
  }
  const parser: { readonly Parser: typeof Parser };
  export default parser;
}

declare module "nunjucks/src/runtime.js" {
  export class Frame {
    constructor(parent?: Frame, isolateWrites?: boolean);
    readonly variables: Record<string, unknown>;
    readonly parent: Frame | undefined;
    set(name: string, value: unknown): void;
    lookup(name: string): unknown;
    push(isolateWrites?: boolean): Frame;
  }
  const runtime: { readonly Frame: typeof Frame };
  export default runtime;
}
