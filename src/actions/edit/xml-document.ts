import { printable, VolleyError } from "../../core/errors.ts";

// XML documents: the tree, reading one (XML 1.0 without external or declared entities), and writing one as libxml2 does.

/** An attribute of an element. */
export interface XmlAttribute {
  readonly kind: "attribute";
  /** With its prefix. */
  readonly name: string;
  value: string;
  readonly parent: XmlElement;
}

/** An element. */
export interface XmlElement {
  readonly kind: "element";
  /** With its prefix. */
  readonly name: string;
  readonly attributes: XmlAttribute[];
  readonly children: XmlNode[];
  parent: XmlElement | XmlDocument;
}

/** Text, a CDATA section, a comment, a processing instruction or a document type. */
export interface XmlLeaf {
  readonly kind: "text" | "cdata" | "comment" | "instruction" | "doctype";
  /** Without its marks. */
  text: string;
  parent: XmlElement | XmlDocument;
}

/** A node below an element or a document. */
export type XmlNode = XmlElement | XmlLeaf;

/** The root of a tree, which holds one element, and comments, instructions and a document type beside it. */
export interface XmlDocument {
  readonly kind: "document";
  readonly children: XmlNode[];
}

const MAX_PROBLEM = 300;
/** Elements within elements, at most; libxml2 has the same limit. */
const MAX_DEPTH = 256;
/** Characters that no document may have, not even as references. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]/u;

function fail(text: string, at: number, problem: string): never {
  const line = text.slice(0, at).split("\n").length;
  throw new VolleyError(
    "ACTION_FAILED",
    `Error while parsing document: line ${line}: ${printable(problem, MAX_PROBLEM)}`,
  );
}

const NAME = "[:A-Za-z_\\u0080-\\uffff][-.:0-9A-Za-z_\\u0080-\\uffff]*";
const TOKEN = new RegExp(
  [
    "<!--([\\s\\S]*?)-->",
    "<!\\[CDATA\\[([\\s\\S]*?)\\]\\]>",
    "<\\?([\\s\\S]*?)\\?>",
    "<!DOCTYPE((?:[^<>[\\]'\"]|'[^']*'|\"[^\"]*\"|\\[[\\s\\S]*?\\]\\s*(?=>))*)>",
    `</(${NAME})\\s*>`,
    `<(${NAME})((?:\\s+${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(/?)>`,
    "([^<]+)",
  ].join("|"),
  "gy",
);
const ATTRIBUTE = new RegExp(`(${NAME})\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, "g");
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Make an element with attributes. */
export function makeElement(
  name: string,
  parent: XmlElement | XmlDocument,
  attributes: Iterable<readonly [string, string]> = [],
): XmlElement {
  const element: XmlElement = { kind: "element", name, attributes: [], children: [], parent };
  for (const [key, value] of attributes) setAttribute(element, key, value);
  return element;
}

/** Set an attribute; true when that is a change. */
export function setAttribute(element: XmlElement, name: string, value: string): boolean {
  const own = element.attributes.find((attribute) => attribute.name === name);
  if (own?.value === value) return false;
  if (own === undefined) element.attributes.push({ kind: "attribute", name, value, parent: element });
  else own.value = value;
  return true;
}

/** Read a document. Fails with `ACTION_FAILED` and the line. */
export function parseXml(source: string, options: { readonly stripCdata?: boolean } = {}): XmlDocument {
  const text = source.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
  const forbidden = FORBIDDEN.exec(text);
  if (forbidden !== null) fail(text, forbidden.index, "this character may not stand in XML");
  const document: XmlDocument = { kind: "document", children: [] };
  let depth = 0;
  let parent: XmlElement | XmlDocument = document;
  let at = 0;
  let next = 0;
  const add = (kind: XmlLeaf["kind"], content: string): void => {
    const last = parent.children.at(-1);
    if (kind === "text" && last?.kind === "text") last.text += content;
    else parent.children.push({ kind, text: content, parent });
  };
  while (next < text.length) {
    at = next;
    TOKEN.lastIndex = at;
    const found: RegExpExecArray = TOKEN.exec(text) ?? fail(text, at, "this is no XML");
    next = TOKEN.lastIndex;
    const [, comment, cdata, instruction, doctype, close, open, attributes = "", empty, content] = found;
    if (comment !== undefined) add("comment", comment);
    else if (cdata !== undefined) add(options.stripCdata ? "text" : "cdata", cdata);
    else if (instruction !== undefined) {
      if (!/^xml\s/.test(instruction)) add("instruction", instruction);
    } else if (doctype !== undefined) add("doctype", doctype.trim());
    else if (content !== undefined) {
      if (parent.kind === "element") add("text", resolveReferences(text, at, content));
      else if (content.trim() !== "") fail(text, at, "text stands outside of the root element");
    } else if (close !== undefined) {
      if (parent.kind !== "element" || parent.name !== close)
        fail(
          text,
          at,
          `</${close}> does not close ${parent.kind === "element" ? `<${parent.name}>` : "anything"}`,
        );
      parent = parent.parent;
      depth--;
    } else if (open !== undefined) {
      if (parent.kind === "document" && rootOf(document) !== undefined)
        fail(text, at, "there is a second root element");
      const element: XmlElement = makeElement(open, parent);
      for (const [, name = "", double, single] of attributes.matchAll(ATTRIBUTE)) {
        const value = resolveReferences(text, at, (double ?? single ?? "").replace(/[\t\n]/g, " "));
        if (element.attributes.some((own) => own.name === name))
          fail(text, at, `attribute ${name} is there twice`);
        setAttribute(element, name, value);
      }
      parent.children.push(element);
      if (empty !== "") continue;
      parent = element;
      if (++depth > MAX_DEPTH) fail(text, at, `elements are nested more than ${MAX_DEPTH} deep`);
    }
  }
  if (parent.kind === "element") fail(text, at, `<${parent.name}> is not closed`);
  if (rootOf(document) === undefined) fail(text, at, "there is no root element");
  return document;
}

/** Return the root element. */
export function rootOf(document: XmlDocument): XmlElement | undefined {
  return document.children.find((child): child is XmlElement => child.kind === "element");
}

function resolveReferences(text: string, at: number, content: string): string {
  return content.replace(
    /&(?:#x([0-9a-fA-F]+)|#(\d+)|([^;\s&]*));?/g,
    (all, hex?: string, decimal?: string, name?: string) => {
      const code =
        hex === undefined ? (decimal === undefined ? undefined : Number(decimal)) : Number.parseInt(hex, 16);
      if (!all.endsWith(";") || (code !== undefined && code > 0x10ffff))
        return fail(text, at, `${all} is no reference`);
      if (code !== undefined) {
        const character = String.fromCodePoint(code);
        return FORBIDDEN.test(character) ? fail(text, at, `${all} is no character of XML`) : character;
      }
      return (
        ENTITIES[name ?? ""] ??
        fail(text, at, `the entity ${all} is not supported; only the five of XML itself are`)
      );
    },
  );
}

const DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>\n";

function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("\r", "&#13;");
}

function escapeValue(text: string): string {
  return escapeText(text).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\t", "&#9;");
}

/** Write a document with its declaration, as libxml2 does; indented when `pretty`, which drops blank text. */
export function writeXml(document: XmlDocument, pretty = false): string {
  const parts = document.children.map((child) => writeNode(child, pretty ? 0 : undefined));
  return `${DECLARATION}${parts.join("\n")}${pretty ? "\n" : ""}`;
}

/** Write one node. With an `indent`, the elements below stand on lines of their own, two spaces deeper each. */
export function writeNode(node: XmlNode, indent?: number): string {
  switch (node.kind) {
    case "text":
      return escapeText(node.text);
    case "cdata":
      return `<![CDATA[${node.text}]]>`;
    case "comment":
      return `<!--${node.text}-->`;
    case "instruction":
      return `<?${node.text}?>`;
    case "doctype":
      return `<!DOCTYPE ${node.text}>`;
    case "element":
      return writeElement(node, indent);
  }
}

function writeElement({ name, attributes, children }: XmlElement, indent: number | undefined): string {
  const start = `<${name}${attributes.map((own) => ` ${own.name}="${escapeValue(own.value)}"`).join("")}`;
  const isBlank = (child: XmlNode): boolean => child.kind === "text" && child.text.trim() === "";
  const hasText = children.some(
    (child) => child.kind === "cdata" || (child.kind === "text" && !isBlank(child)),
  );
  const formats = indent !== undefined && !hasText;
  const shown =
    formats && children.some((child) => child.kind !== "text")
      ? children.filter((child) => !isBlank(child))
      : children;
  if (shown.length === 0) return `${start}/>`;
  if (!formats || shown.every(isBlank))
    return `${start}>${shown.map((child) => writeNode(child)).join("")}</${name}>`;
  const inner = shown.map((child) => `\n${" ".repeat(2 * (indent + 1))}${writeNode(child, indent + 1)}`);
  return `${start}>${inner.join("")}\n${" ".repeat(2 * indent)}</${name}>`;
}

/** Return the text of an element before its first child element or comment; null without text. */
export function leadingText({ children }: XmlElement): string | null {
  const end = children.findIndex((child) => child.kind !== "text" && child.kind !== "cdata");
  const leaves = children.slice(0, end === -1 ? undefined : end) as XmlLeaf[];
  return leaves.length === 0 ? null : leaves.map(({ text }) => text).join("");
}

/** Replace the text that {@link leadingText} returns; true when that is a change. */
export function setLeadingText(element: XmlElement, text: string): boolean {
  if ((leadingText(element) ?? "") === text) return false;
  const { children } = element;
  while (children[0]?.kind === "text" || children[0]?.kind === "cdata") children.shift();
  if (text !== "") children.unshift({ kind: "text", text, parent: element });
  return true;
}

/** Return the namespace that a prefix stands for at an element; undefined for an unknown prefix, "" without a namespace. */
export function namespaceOf(element: XmlElement, prefix: string): string | undefined {
  if (prefix === "xml") return "http://www.w3.org/XML/1998/namespace";
  const name = prefix === "" ? "xmlns" : `xmlns:${prefix}`;
  for (let at: XmlElement | XmlDocument = element; at.kind === "element"; at = at.parent) {
    const own = at.attributes.find((attribute) => attribute.name === name);
    if (own !== undefined) return own.value;
  }
  return prefix === "" ? "" : undefined;
}

/** A name split into its parts. */
export interface ExpandedName {
  readonly prefix: string;
  readonly local: string;
}

/** Split a name at its colon. */
export function splitName(name: string): ExpandedName {
  const at = name.indexOf(":");
  return { prefix: at === -1 ? "" : name.slice(0, at), local: name.slice(at + 1) };
}

/** Return the namespace of an element or attribute: an attribute without a prefix has none. */
export function namespaceOfNode(node: XmlElement | XmlAttribute): string {
  const { prefix } = splitName(node.name);
  if (node.kind === "attribute") return prefix === "" ? "" : (namespaceOf(node.parent, prefix) ?? "");
  return namespaceOf(node, prefix) ?? "";
}

/** Return a name as lxml writes it: `{namespace}name`, or the name alone. */
export function clarkName(node: XmlElement | XmlAttribute): string {
  const namespace = namespaceOfNode(node);
  const { local } = splitName(node.name);
  return namespace === "" ? local : `{${namespace}}${local}`;
}
