import { printable, VolleyError } from "../../core/errors.ts";
import {
  namespaceOfNode,
  splitName,
  type XmlAttribute,
  type XmlDocument,
  type XmlElement,
  type XmlNode,
} from "./xml-document.ts";

import { type Expression, type FunctionName, MAX_SHOWN, type Step } from "./xpath-parser.ts";

// XPath 1.0: the values of expressions.

/** A node that an expression finds. */
export type XpathNode = XmlDocument | XmlNode | XmlAttribute;

/** The value of an expression. */
export type XpathValue = string | number | boolean | readonly XpathNode[];

/** The node that an expression is evaluated for, and its place among others. */
interface Context {
  readonly node: XpathNode;
  readonly position: number;
  readonly size: number;
  readonly namespaces: Readonly<Record<string, string>>;
}

/** Evaluate an expression for a node, with the namespaces of the prefixes in it. */
export function evaluateXpath(
  expression: Expression,
  node: XpathNode,
  namespaces: Readonly<Record<string, string>>,
): XpathValue {
  return evaluate(expression, { node, position: 1, size: 1, namespaces });
}

/** Return the nodes that a step finds from each of several nodes. */
export function takeStep(
  step: Step,
  nodes: readonly XpathNode[],
  namespaces: Context["namespaces"],
): readonly XpathNode[] {
  const found = new Set<XpathNode>();
  for (const node of nodes) {
    let reached = axisNodes(step.axis, node).filter((each) => matches(each, step, namespaces));
    for (const predicate of step.predicates) reached = filterNodes(reached, predicate, namespaces);
    for (const each of reached) found.add(each);
  }
  return inDocumentOrder([...found]);
}

function filterNodes(
  nodes: readonly XpathNode[],
  predicate: Expression,
  namespaces: Context["namespaces"],
): XpathNode[] {
  return nodes.filter((node, index) => {
    const value = evaluate(predicate, { node, position: index + 1, size: nodes.length, namespaces });
    return typeof value === "number" ? value === index + 1 : toBoolean(value);
  });
}

function parentOf(node: XpathNode): XmlElement | XmlDocument | undefined {
  return node.kind === "document" ? undefined : node.parent;
}

function childrenOf(node: XpathNode): readonly XmlNode[] {
  return node.kind === "element" || node.kind === "document"
    ? node.children.filter(({ kind }) => kind !== "doctype")
    : [];
}

function descendants(node: XpathNode): XpathNode[] {
  return childrenOf(node).flatMap((child) => [child, ...descendants(child)]);
}

function ancestors(node: XpathNode): XpathNode[] {
  const parent = parentOf(node);
  return parent === undefined ? [] : [parent, ...ancestors(parent)];
}

/** Return the siblings behind a node, or before it, the nearest first. */
function siblings(node: XpathNode, direction: 1 | -1): XpathNode[] {
  const parent = parentOf(node);
  if (parent === undefined || node.kind === "attribute" || node.kind === "document") return [];
  const all = childrenOf(parent);
  const at = all.indexOf(node);
  return direction === 1 ? all.slice(at + 1) : all.slice(0, at).reverse();
}

/** Return the nodes of an axis, the nearest first. */
function axisNodes(axis: string, node: XpathNode): readonly XpathNode[] {
  switch (axis) {
    case "self":
      return [node];
    case "child":
      return childrenOf(node);
    case "parent":
      return ancestors(node).slice(0, 1);
    case "descendant":
      return descendants(node);
    case "descendant-or-self":
      return [node, ...descendants(node)];
    case "ancestor":
      return ancestors(node);
    case "ancestor-or-self":
      return [node, ...ancestors(node)];
    case "attribute":
      return node.kind === "element" ? node.attributes.filter(({ name }) => !/^xmlns(:|$)/.test(name)) : [];
    case "following-sibling":
      return siblings(node, 1);
    case "preceding-sibling":
      return siblings(node, -1);
    case "following":
      return [node, ...ancestors(node)].flatMap((each) =>
        siblings(each, 1).flatMap((next) => [next, ...descendants(next)]),
      );
    default:
      return [node, ...ancestors(node)].flatMap((each) =>
        siblings(each, -1).flatMap((before) => [before, ...descendants(before)].reverse()),
      );
  }
}

function matches(node: XpathNode, { axis, test }: Step, namespaces: Context["namespaces"]): boolean {
  if ("type" in test) {
    if (test.type === "node") return true;
    if (test.type === "text") return node.kind === "text" || node.kind === "cdata";
    return node.kind === (test.type === "comment" ? "comment" : "instruction");
  }
  const principal = axis === "attribute" ? "attribute" : "element";
  if (node.kind !== principal || (node.kind !== "element" && node.kind !== "attribute")) return false;
  const { prefix, local } = test;
  if (prefix === "")
    return local === "*" || (splitName(node.name).local === local && namespaceOfNode(node) === "");
  const namespace = namespaces[prefix];
  if (namespace === undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      `xpath: the prefix "${printable(prefix, MAX_SHOWN)}" is unknown; name its namespace in "namespaces"`,
    );
  return namespaceOfNode(node) === namespace && (local === "*" || splitName(node.name).local === local);
}

function inDocumentOrder(nodes: readonly XpathNode[]): readonly XpathNode[] {
  if (nodes.length < 2) return nodes;
  const place = (node: XpathNode): readonly number[] => {
    const parent = parentOf(node);
    if (parent === undefined) return [];
    // Attributes stand between their element and its children.
    const index =
      node.kind === "attribute"
        ? node.parent.attributes.indexOf(node) - 1e9
        : parent.children.indexOf(node as XmlNode);
    return [...place(parent), index];
  };
  const placed = nodes.map((node) => ({ node, at: place(node) }));
  placed.sort((a, b) => {
    for (let depth = 0; ; depth++) {
      const [left, right] = [a.at[depth], b.at[depth]];
      if (left === undefined || right === undefined) return a.at.length - b.at.length;
      if (left !== right) return left - right;
    }
  });
  return placed.map(({ node }) => node);
}

/** Return the string value of a node. */
export function nodeText(node: XpathNode): string {
  if (node.kind === "attribute") return node.value;
  if (node.kind !== "element" && node.kind !== "document") return node.text;
  return descendants(node)
    .map((below) => (below.kind === "text" || below.kind === "cdata" ? below.text : ""))
    .join("");
}

function toText(value: XpathValue): string {
  if (typeof value === "object") return value[0] === undefined ? "" : nodeText(value[0]);
  return String(value);
}

function toNumber(value: XpathValue): number {
  if (typeof value === "boolean") return Number(value);
  if (typeof value === "number") return value;
  const text = toText(value).trim();
  return /^-?(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
}

function toBoolean(value: XpathValue): boolean {
  if (typeof value === "object") return value.length > 0;
  return typeof value === "number" ? value !== 0 && !Number.isNaN(value) : Boolean(value);
}

function toNodes(value: XpathValue): readonly XpathNode[] {
  if (typeof value === "object") return value;
  throw new VolleyError("ACTION_FAILED", "xpath: this expression needs nodes, not a text or a number");
}

function compare(name: string, left: XpathValue, right: XpathValue): boolean {
  // A set of nodes compares as any of its nodes does.
  if (typeof left === "object" && typeof right !== "boolean")
    return left.some((node) => compare(name, nodeText(node), right));
  if (typeof right === "object" && typeof left !== "boolean")
    return right.some((node) => compare(name, left, nodeText(node)));
  if (name === "=" || name === "!=") {
    const kinds = [typeof left, typeof right];
    const same = kinds.includes("boolean")
      ? toBoolean(left) === toBoolean(right)
      : kinds.includes("number")
        ? toNumber(left) === toNumber(right)
        : toText(left) === toText(right);
    return same === (name === "=");
  }
  const [a, b] = [toNumber(left), toNumber(right)];
  return name === "<" ? a < b : name === "<=" ? a <= b : name === ">" ? a > b : a >= b;
}

function evaluate(expression: Expression, context: Context): XpathValue {
  const { namespaces } = context;
  switch (expression.kind) {
    case "literal":
      return expression.value;
    case "negative":
      return -toNumber(evaluate(expression.of, context));
    case "call": {
      const values = expression.args.map((each) => evaluate(each, context));
      return FUNCTIONS.get(expression.name)!(context, values);
    }
    case "filter":
      return expression.predicates.reduce(
        (nodes, predicate) => filterNodes(nodes, predicate, namespaces),
        toNodes(evaluate(expression.of, context)),
      );
    case "path": {
      const { from } = expression;
      const top = [context.node, ...ancestors(context.node)].at(-1)!;
      const start =
        from === "context" ? [context.node] : from === "document" ? [top] : toNodes(evaluate(from, context));
      return expression.steps.reduce((nodes, step) => takeStep(step, nodes, namespaces), start);
    }
    case "operator":
      return operate(expression.name, expression.left, expression.right, context);
  }
}

function operate(name: string, left: Expression, right: Expression, context: Context): XpathValue {
  const first = evaluate(left, context);
  if (name === "or") return toBoolean(first) || toBoolean(evaluate(right, context));
  if (name === "and") return toBoolean(first) && toBoolean(evaluate(right, context));
  const second = evaluate(right, context);
  if (name === "|") return inDocumentOrder([...new Set([...toNodes(first), ...toNodes(second)])]);
  const [a, b] = [toNumber(first), toNumber(second)];
  switch (name) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "div":
      return a / b;
    case "mod":
      return a % b;
    default:
      return compare(name, first, second);
  }
}

type XpathFunction = (context: Context, args: readonly XpathValue[]) => XpathValue;

function nameOf(part: (node: XmlElement | XmlAttribute) => string): XpathFunction {
  return ({ node }, [set]) => {
    const named = set === undefined ? node : toNodes(set)[0];
    return named?.kind === "element" || named?.kind === "attribute" ? part(named) : "";
  };
}

/** Return the text of an argument, or without one that of the context's node. */
function own({ node }: Context, argument: XpathValue | undefined): string {
  return argument === undefined ? nodeText(node) : toText(argument);
}

const FUNCTIONS: ReadonlyMap<FunctionName, XpathFunction> = new Map<FunctionName, XpathFunction>([
  ["last", ({ size }) => size],
  ["position", ({ position }) => position],
  ["count", (_context, [set = ""]) => toNodes(set).length],
  ["name", nameOf(({ name }) => name)],
  ["local-name", nameOf(({ name }) => splitName(name).local)],
  ["namespace-uri", nameOf(namespaceOfNode)],
  ["string", (context, [value]) => own(context, value)],
  ["concat", (_context, values) => values.map(toText).join("")],
  ["starts-with", (_context, [text = "", start = ""]) => toText(text).startsWith(toText(start))],
  ["contains", (_context, [text = "", part = ""]) => toText(text).includes(toText(part))],
  [
    "substring-before",
    (_context, [text = "", part = ""]) =>
      toText(text).slice(0, Math.max(0, toText(text).indexOf(toText(part)))),
  ],
  [
    "substring-after",
    (_context, [text = "", part = ""]) => {
      const at = toText(text).indexOf(toText(part));
      return at === -1 ? "" : toText(text).slice(at + toText(part).length);
    },
  ],
  [
    "substring",
    (_context, [text = "", start = 1, length = Number.POSITIVE_INFINITY]) => {
      const first = Math.round(toNumber(start));
      const end = first + Math.round(toNumber(length));
      return [...toText(text)].filter((_, index) => index + 1 >= first && index + 1 < end).join("");
    },
  ],
  ["string-length", (context, [value]) => [...own(context, value)].length],
  ["normalize-space", (context, [value]) => own(context, value).trim().replace(/\s+/g, " ")],
  [
    "translate",
    (_context, [text = "", from = "", to = ""]) => {
      const [letters, others] = [[...toText(from)], [...toText(to)]];
      return [...toText(text)]
        .map((letter) => (letters.includes(letter) ? (others[letters.indexOf(letter)] ?? "") : letter))
        .join("");
    },
  ],
  ["boolean", (_context, [value = false]) => toBoolean(value)],
  ["not", (_context, [value = false]) => !toBoolean(value)],
  ["true", () => true],
  ["false", () => false],
  ["number", (context, [value]) => toNumber(value ?? own(context, value))],
  ["sum", (_context, [set = ""]) => toNodes(set).reduce((sum, node) => sum + toNumber(nodeText(node)), 0)],
  ["floor", (_context, [value = 0]) => Math.floor(toNumber(value))],
  ["ceiling", (_context, [value = 0]) => Math.ceil(toNumber(value))],
  ["round", (_context, [value = 0]) => Math.round(toNumber(value))],
]);
