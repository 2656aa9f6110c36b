import { VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/values/value.ts";
import {
  makeElement,
  namespaceOf,
  parseXml,
  rootOf,
  setAttribute,
  setLeadingText,
  splitName,
  writeNode,
  type XmlDocument,
  type XmlElement,
  type XmlNode,
} from "./xml-document.ts";
import { evaluateXpath, takeStep, type XpathNode } from "./xpath.ts";
import { type Expression, parseXpath, type Step } from "./xpath-parser.ts";

// The changes that the action `xml` makes to a document.

/** The parameters of an edit, as those of the action. */
export interface XmlEdit {
  readonly xpath?: string | undefined;
  readonly state: "present" | "absent";
  readonly attribute?: string | undefined;
  readonly value?: string | undefined;
  readonly add_children?: readonly Child[] | undefined;
  readonly set_children?: readonly Child[] | undefined;
  readonly input_type: "yaml" | "xml";
  readonly insertbefore: boolean;
  readonly insertafter: boolean;
}

/** A child to add: a name, an object of a name, or XML. */
type Child = string | Readonly<Record<string, unknown>>;

type Namespaces = Readonly<Record<string, string>>;

/** An expression with its namespaces. */
export interface Target {
  readonly source: string;
  readonly expression: Expression;
  readonly namespaces: Namespaces;
  find(document: XmlDocument): readonly XpathNode[];
}

/** Parse the expression that selects nodes of a document. Fails with `ACTION_FAILED`. */
export function targetOf(source: string, namespaces: Namespaces): Target {
  const expression = parseXpath(source);
  const find = (document: XmlDocument): readonly XpathNode[] => {
    // A path without a slash starts at the root element, as in lxml.
    const start = rootOf(document) ?? document;
    const found = evaluateXpath(expression, start, namespaces);
    if (typeof found !== "object")
      throw new VolleyError("ACTION_FAILED", `Xpath ${source} does not reference a node!`);
    return found;
  };
  return { source, expression, namespaces, find };
}

/** Carry an edit out; true when the document changed. Fails with `ACTION_FAILED`. */
export function editXml(document: XmlDocument, target: Target, given: XmlEdit): boolean {
  const { state, value, attribute, add_children, set_children } = given;
  if (state === "absent") return removeAll(target.find(document), target);
  if (add_children !== undefined) return addChildren(document, target, given, add_children);
  if (set_children !== undefined) {
    const parents = elementsOf(target, document);
    return parents.map((parent) => setChildren(parent, set_children, given, target)).includes(true);
  }
  const made = target.find(document).length === 0 && makePath(document, target);
  if (value === undefined) return made;
  const changes = target.find(document).map((node) => setValue(node, attribute, value, target));
  return changes.includes(true) || made;
}

function refuse(target: Target): never {
  throw new VolleyError("ACTION_FAILED", `Xpath ${target.source} does not reference a node!`);
}

function elementsOf(target: Target, document: XmlDocument): readonly XmlElement[] {
  const elements = target.find(document).filter((node): node is XmlElement => node.kind === "element");
  return elements.length === 0 ? refuse(target) : elements;
}

function removeAll(nodes: readonly XpathNode[], target: Target): boolean {
  for (const node of nodes) {
    if (node.kind === "document" || (node.kind === "element" && node.parent.kind === "document"))
      throw new VolleyError(
        "ACTION_FAILED",
        `${target.source} is the whole document, which cannot be removed`,
      );
    if (node.kind === "attribute") {
      node.parent.attributes.splice(node.parent.attributes.indexOf(node), 1);
      continue;
    }
    const { children } = node.parent;
    children.splice(children.indexOf(node), 1);
  }
  return nodes.length > 0;
}

function setValue(node: XpathNode, attribute: string | undefined, value: string, target: Target): boolean {
  if (attribute !== undefined)
    return node.kind === "element"
      ? setAttribute(node, attributeName(node, attribute, target), value)
      : refuse(target);
  if (node.kind === "element") return setLeadingText(node, value);
  if (node.kind === "attribute") return setAttribute(node.parent, node.name, value);
  if (node.kind !== "text" && node.kind !== "cdata") return refuse(target);
  const changed = node.text !== value;
  node.text = value;
  return changed;
}

/** Return the name that an element's document has for a name with a prefix of the parameters. */
function documentName(near: XmlElement | XmlDocument, name: string, { namespaces, source }: Target): string {
  const { prefix, local } = splitName(name);
  if (prefix === "") return name;
  const namespace = namespaces[prefix];
  if (namespace === undefined || near.kind === "document" || namespaceOf(near, prefix) === namespace)
    return name;
  for (let at: XmlElement | XmlDocument = near; at.kind === "element"; at = at.parent)
    for (const { name: own, value } of at.attributes) {
      const bound = own === "xmlns" ? "" : own.startsWith("xmlns:") ? own.slice(6) : undefined;
      if (bound === undefined || value !== namespace || namespaceOf(near, bound) !== namespace) continue;
      return bound === "" ? local : `${bound}:${local}`;
    }
  throw new VolleyError(
    "ACTION_FAILED",
    `${source}: the document has no prefix for the namespace ${namespace}; declare it on the root element`,
  );
}

function attributeName(element: XmlElement, name: string, target: Target): string {
  const written = documentName(element, name, target);
  // The default namespace does not count for attributes.
  return splitName(name).prefix !== "" && splitName(written).prefix === "" ? name : written;
}

/** Make what a path of plain steps selects; true when something was made. */
function makePath(document: XmlDocument, target: Target): boolean {
  const { expression, namespaces, source } = target;
  if (expression.kind !== "path" || typeof expression.from === "object") return cannotMake(source);
  let nodes: readonly XpathNode[] = [
    expression.from === "document" ? document : (rootOf(document) ?? document),
  ];
  for (const [index, step] of expression.steps.entries()) {
    const reached = takeStep(step, nodes, namespaces);
    if (reached.length > 0) {
      nodes = reached;
      continue;
    }
    // Behind `//` every element of the document would get one.
    if (expression.steps[index - 1]?.axis === "descendant-or-self") return cannotMake(source);
    nodes = nodes.map((node) => makeStep(node, step, index === expression.steps.length - 1, target));
  }
  return true;
}

function cannotMake(source: string): never {
  throw new VolleyError(
    "ACTION_FAILED",
    `Can't process Xpath ${source} in order to spawn nodes! Only plain steps can be made: /a/b[@id='1']/@c`,
  );
}

function makeStep(node: XpathNode, step: Step, isLast: boolean, target: Target): XpathNode {
  const { axis, test, predicates } = step;
  // A document has its root element already.
  if (node.kind !== "element" || !("local" in test) || test.local === "*")
    return node.kind === "document" ? refuse(target) : cannotMake(target.source);
  const name = test.prefix === "" ? test.local : `${test.prefix}:${test.local}`;
  if (axis === "attribute" && isLast && predicates.length === 0) {
    setAttribute(node, attributeName(node, name, target), "");
    return node.attributes.at(-1)!;
  }
  if (axis !== "child") return cannotMake(target.source);
  const element = makeElement(documentName(node, name, target), node);
  node.children.push(element);
  for (const predicate of predicates) fulfil(element, predicate, target);
  return element;
}

/** Make an element fulfil `[@a='v']`, `[name='v']`, `[text()='v']`, `[.='v']`, `[@a]`, `[name]`, or several with `and`. */
function fulfil(element: XmlElement, predicate: Expression, target: Target): void {
  if (predicate.kind === "operator" && predicate.name === "and") {
    fulfil(element, predicate.left, target);
    fulfil(element, predicate.right, target);
    return;
  }
  const isEquation =
    predicate.kind === "operator" && predicate.name === "=" && predicate.right.kind === "literal";
  const path = isEquation ? predicate.left : predicate;
  const value = isEquation && predicate.right.kind === "literal" ? String(predicate.right.value) : "";
  const [step, ...more] = path.kind === "path" && path.from === "context" ? path.steps : [];
  if (step === undefined || more.length > 0) return cannotMake(target.source);
  if ("type" in step.test) {
    const isOwnText = (step.axis === "child" && step.test.type === "text") || step.axis === "self";
    if (!isOwnText || !isEquation) return cannotMake(target.source);
    setLeadingText(element, value);
    return;
  }
  const made = makeStep(element, step, true, target);
  if (made.kind === "attribute") made.value = value;
  else if (made.kind === "element") setLeadingText(made, value);
}

function addChildren(
  document: XmlDocument,
  target: Target,
  given: XmlEdit,
  children: readonly Child[],
): boolean {
  const selected = elementsOf(target, document);
  if (!given.insertbefore && !given.insertafter) {
    for (const parent of selected) parent.children.push(...makeChildren(parent, children, given, target));
    return children.length > 0;
  }
  const beside = given.insertbefore ? selected[0]! : selected.at(-1)!;
  const { parent } = beside;
  if (parent.kind === "document")
    throw new VolleyError(
      "ACTION_FAILED",
      `${target.source} is the root element, and nothing can stand beside it`,
    );
  const at = parent.children.indexOf(beside) + (given.insertbefore ? 0 : 1);
  parent.children.splice(at, 0, ...makeChildren(parent, children, given, target));
  return children.length > 0;
}

function setChildren(
  parent: XmlElement,
  children: readonly Child[],
  given: XmlEdit,
  target: Target,
): boolean {
  const made = makeChildren(parent, children, given, target);
  const old = parent.children.filter(({ kind }) => kind === "element");
  const written = (nodes: readonly XmlNode[]): string => nodes.map((node) => writeNode(node, 0)).join("\n");
  if (written(old) === written(made)) return false;
  parent.children.splice(0, parent.children.length, ...made);
  return true;
}

function makeChildren(
  parent: XmlElement,
  children: readonly Child[],
  { input_type }: XmlEdit,
  target: Target,
): readonly XmlElement[] {
  return children.flatMap((child) => {
    if (input_type === "yaml") return [makeChild(parent, child, target)];
    if (typeof child !== "string")
      throw new VolleyError("ACTION_FAILED", 'with input_type "xml", each child must be a text of XML');
    const root = rootOf(parseXml(child));
    if (root !== undefined) root.parent = parent;
    return root ?? [];
  });
}

function makeChild(parent: XmlElement, child: unknown, target: Target): XmlElement {
  if (typeof child === "string") return makeElement(checkName(documentName(parent, child, target)), parent);
  const entries = isRecord(child) ? Object.entries(child) : [];
  const [entry] = entries;
  if (entry === undefined || entries.length > 1)
    throw new VolleyError("ACTION_FAILED", "each child must be a name, or an object with one name");
  const [name, content] = entry;
  const element = makeElement(checkName(documentName(parent, name, target)), parent);
  if (!isRecord(content)) {
    setLeadingText(element, scalar(name, content));
    return element;
  }
  for (const [key, value] of Object.entries(content)) {
    if (key !== "_") setAttribute(element, checkName(attributeName(parent, key, target)), scalar(key, value));
    else if (Array.isArray(value))
      for (const below of value as readonly unknown[])
        element.children.push(makeChild(element, below, target));
    else if (typeof value === "string") setLeadingText(element, value);
    else throw new VolleyError("ACTION_FAILED", `"_" of "${name}" must be a list of children`);
  }
  return element;
}

function checkName(name: string): string {
  if (/^[A-Za-z_\u0080-\uffff][-.:0-9A-Za-z_\u0080-\uffff]*$/.test(name)) return name;
  throw new VolleyError("ACTION_FAILED", `"${name}" is no name of an element or attribute`);
}

function scalar(name: string, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "object")
    throw new VolleyError(
      "ACTION_FAILED",
      `the text of "${name}" must be a string; write children below "_"`,
    );
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}
