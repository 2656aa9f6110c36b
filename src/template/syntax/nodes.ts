import type { Node, NodeList } from "nunjucks/src/nodes.js";
import nunjucksNodes from "nunjucks/src/nodes.js";

const { Node: BaseNode } = nunjucksNodes;

/** An argument list: positional and named arguments, and the values that `*` and `**` spread. */
export interface Arguments {
  readonly positional: readonly Node[];
  readonly named: readonly (readonly [name: string, value: Node])[];
  readonly spread: Node | null;
  readonly spreadNamed: Node | null;
}

/** The parameters of a macro or call block, with their defaults. */
export interface Parameters {
  readonly names: readonly string[];
  /** The defaults by parameter name. */
  readonly defaults: ReadonlyMap<string, Node>;
}

export interface BinaryNode extends Node {
  readonly operator: string;
  readonly left: Node;
  readonly right: Node;
}
export interface UnaryNode extends Node {
  readonly operator: string;
  readonly target: Node;
}
export interface ComparisonNode extends Node {
  readonly first: Node;
  readonly rest: readonly (readonly [operator: string, operand: Node])[];
}
export interface ItemNode extends Node {
  readonly target: Node;
  readonly key: Node;
}
export interface AttributeNode extends Node {
  readonly target: Node;
  readonly name: string;
}
export interface SliceNode extends Node {
  readonly start: Node | null;
  readonly stop: Node | null;
  readonly step: Node | null;
}
export interface CallNode extends Node {
  readonly callee: Node;
  readonly args: Arguments;
}
export interface FilterNode extends Node {
  readonly name: string;
  /** Null inside a filter block, where the block's text is the target. */
  readonly target: Node | null;
  readonly args: Arguments;
}
export interface TestNode extends Node {
  readonly name: string;
  readonly target: Node;
  readonly args: Arguments;
}
export interface PairsNode extends Node {
  readonly pairs: readonly (readonly [key: Node, value: Node])[];
}
export interface ForNode extends Node {
  readonly target: Node;
  readonly iterable: Node;
  readonly test: Node | null;
  readonly recursive: boolean;
  readonly body: NodeList;
  readonly otherwise: NodeList | null;
}
export interface AssignNode extends Node {
  readonly target: Node;
  readonly value: Node;
}
export interface AssignBlockNode extends Node {
  readonly target: Node;
  readonly filters: Node | null;
  readonly body: NodeList;
}
export interface WithNode extends Node {
  readonly assignments: readonly (readonly [target: Node, value: Node])[];
  readonly body: NodeList;
}
export interface MacroNode extends Node {
  readonly name: string;
  readonly parameters: Parameters;
  readonly body: NodeList;
}
export interface CallBlockNode extends Node {
  readonly call: CallNode;
  readonly parameters: Parameters;
  readonly body: NodeList;
}
export interface FilterBlockNode extends Node {
  readonly filters: Node;
  readonly body: NodeList;
}
export interface BlockNode extends Node {
  readonly name: string;
  readonly scoped: boolean;
  readonly required: boolean;
  readonly body: NodeList;
}
export interface IncludeNode extends Node {
  readonly template: Node;
  readonly ignoreMissing: boolean;
  readonly withContext: boolean;
}
export interface ImportNode extends Node {
  readonly template: Node;
  readonly target: string;
  readonly withContext: boolean;
}
export interface FromImportNode extends Node {
  readonly template: Node;
  readonly names: readonly (readonly [name: string, alias: string])[];
  readonly withContext: boolean;
}

/** The kinds of node that nunjucks lacks, or gives another shape. */
export const jinjaNodes = {
  Binary: BaseNode.extend("Binary", { fields: ["operator", "left", "right"] }),
  Unary: BaseNode.extend("Unary", { fields: ["operator", "target"] }),
  Comparison: BaseNode.extend("Comparison", { fields: ["first", "rest"] }),
  Item: BaseNode.extend("Item", { fields: ["target", "key"] }),
  Attribute: BaseNode.extend("Attribute", { fields: ["target", "name"] }),
  Slice: BaseNode.extend("Slice", { fields: ["start", "stop", "step"] }),
  Call: BaseNode.extend("Call", { fields: ["callee", "args"] }),
  ApplyFilter: BaseNode.extend("ApplyFilter", { fields: ["name", "target", "args"] }),
  ApplyTest: BaseNode.extend("ApplyTest", { fields: ["name", "target", "args"] }),
  FloatLiteral: BaseNode.extend("FloatLiteral", { fields: ["value"] }),
  Tuple: BaseNode.extend("Tuple", { fields: ["items"] }),
  Pairs: BaseNode.extend("Pairs", { fields: ["pairs"] }),
  Loop: BaseNode.extend("Loop", { fields: ["target", "iterable", "test", "recursive", "body", "otherwise"] }),
  Assign: BaseNode.extend("Assign", { fields: ["target", "value"] }),
  AssignBlock: BaseNode.extend("AssignBlock", { fields: ["target", "filters", "body"] }),
  With: BaseNode.extend("With", { fields: ["assignments", "body"] }),
  MacroDefinition: BaseNode.extend("MacroDefinition", { fields: ["name", "parameters", "body"] }),
  CallBlock: BaseNode.extend("CallBlock", { fields: ["call", "parameters", "body"] }),
  FilterBlock: BaseNode.extend("FilterBlock", { fields: ["filters", "body"] }),
  NamedBlock: BaseNode.extend("NamedBlock", { fields: ["name", "scoped", "required", "body"] }),
  IncludeTemplate: BaseNode.extend("IncludeTemplate", {
    fields: ["template", "ignoreMissing", "withContext"],
  }),
  ImportTemplate: BaseNode.extend("ImportTemplate", { fields: ["template", "target", "withContext"] }),
  ImportNames: BaseNode.extend("ImportNames", { fields: ["template", "names", "withContext"] }),
} as const;

/** Call `visit` on a node and every node below it. */
export function walk(value: unknown, visit: (node: Node) => void): void {
  if (value instanceof Map || Array.isArray(value)) {
    for (const item of value.values()) walk(item, visit);
  } else if (value instanceof BaseNode) {
    visit(value);
    for (const field of value.fields) walk(value[field], visit);
  } else if (typeof value === "object" && value !== null) {
    for (const item of Object.values(value)) walk(item, visit);
  }
}

/** The filters whose text is never read as a list or dict. */
const TEXT_FILTERS = new Set(["string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml"]);

/** Tell whether an expression ends with a filter that gives text, in the first branch of an inline `if` too. */
function givesText(node: Node): boolean {
  if (node.typename === "ApplyFilter")
    return TEXT_FILTERS.has((node as FilterNode).name.replace(/^ansible\.builtin\./, ""));
  return node.typename === "InlineIf" && givesText(node.body as Node);
}

/** A piece of what a template prints: whether it is text that stays text, or the name of a var, which knows that. */
export type Piece = boolean | string;

/** Return the piece that an expression prints. */
export function pieceOf(node: Node): Piece {
  return node.typename === "Symbol" ? (node.value as string) : givesText(node);
}
