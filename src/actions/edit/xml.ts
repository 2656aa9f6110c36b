import { posix } from "node:path";
import * as v from "valibot";
import { type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { exclusive, requiredBy } from "../shared/combinations.ts";
import { backup, fileAttributes, flag, oneOf, optionalText } from "../shared/params.ts";
import { followLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { clarkName, leadingText, parseXml, writeXml, type XmlDocument } from "./xml-document.ts";
import { editXml, type Target, targetOf } from "./xml-edit.ts";
import { nodeText, type XpathNode } from "./xpath.ts";

/** The data of an xml task. */
interface XmlData {
  readonly actions: {
    readonly xpath: string | null;
    readonly namespaces: Readonly<Record<string, string>>;
    readonly state: string;
  };
  /** Ansible's message of what was read: a text, or the number of matches whose content is listed. */
  readonly msg?: string | number;
  readonly count?: number;
  readonly matches?: readonly unknown[];
  readonly xmlstring?: string;
  readonly backup_file?: string;
}

/** A file to write, or a text to return. */
interface XmlChange extends Change {
  readonly file: FileChange | null;
  readonly result: XmlData;
}

const children = (description: string) =>
  v.optional(
    v.pipe(
      v.array(v.union([v.string(), v.record(v.string(), v.unknown())])),
      v.description(
        `${description} Each is a name, or an object of a name with a text or with attributes and, under \`_\`, children; with \`input_type: xml\` a text of XML.`,
      ),
    ),
  );

const params = v.pipe(
  v.strictObject({
    path: optionalText("The file, which must exist."),
    xmlstring: optionalText("A document in a text, instead of a file; the result is the data's `xmlstring`."),
    xpath: optionalText("The XPath expression that selects elements or attributes."),
    namespaces: v.optional(
      v.pipe(
        v.record(v.string(), v.string()),
        v.description("The namespaces of the prefixes in `xpath` and in names."),
      ),
      {},
    ),
    state: oneOf(["present", "absent"], "present", "Make or set what `xpath` selects, or remove it."),
    attribute: optionalText("The attribute to set to `value`, without `@`."),
    value: v.optional(
      v.pipe(v.string(), v.description("The text of the elements, or the value of the attribute.")),
    ),
    add_children: children("Elements to add at the end of the selected ones, every time."),
    set_children: children("Elements that are to be the only children of the selected ones."),
    input_type: oneOf(["yaml", "xml"], "yaml", "The form of `add_children` and `set_children`."),
    insertbefore: flag("Put `add_children` before the first selected element, instead of into it."),
    insertafter: flag("Put `add_children` behind the last selected element, instead of into it."),
    count: flag("Count the matches: `count` of the data."),
    print_match: flag("List the paths of the matches: `matches` of the data."),
    content: v.optional(
      v.pipe(
        v.picklist(["attribute", "text"]),
        v.description("List the attributes or the texts of the matches: `matches` of the data."),
      ),
    ),
    pretty_print: flag("Indent the whole document."),
    strip_cdata_tags: flag("Write CDATA sections as plain text when the document changes."),
    ...fileAttributes,
    backup,
  }),
  v.check(
    ({ path, xmlstring }) => (path === undefined) !== (xmlstring === undefined),
    'give "path" or "xmlstring"',
  ),
  v.check(
    (given) =>
      given.xpath !== undefined ||
      !(
        given.count ||
        given.print_match ||
        given.state === "absent" ||
        (given.content ?? given.value ?? given.attribute ?? given.add_children ?? given.set_children) !==
          undefined
      ),
    'parameter "xpath" is required',
  ),
  v.check(
    ({ xpath, count, pretty_print, print_match }) =>
      xpath !== undefined || count || pretty_print || print_match,
    'give "xpath", or "pretty_print"',
  ),
  requiredBy("attribute", "value"),
  exclusive("value", "add_children", "set_children"),
  v.check(
    ({ insertbefore, insertafter, add_children }) =>
      !(insertbefore && insertafter) && (!(insertbefore || insertafter) || add_children !== undefined),
    '"insertbefore" or "insertafter" goes with "add_children"',
  ),
);

type Params = v.InferOutput<typeof params>;

/** Read and edit XML files. */
export const xml = defineAction<typeof params, XmlChange, XmlData>({
  name: "xml",
  doc: `Read or edit an XML file, or a text of XML, by XPath.

\`xpath\` alone makes the element or attribute when missing; with \`value\`, \`attribute\` or \`set_children\` its content is set.
What is missing is made for paths of plain steps: names, a last \`@name\`, and predicates such as \`[@id='1']\`,
\`[name='text']\` or \`[text()='text']\`. When a document changes, it is written anew as libxml2 does it: in UTF-8, with a
declaration, attributes in double quotes.

XPath 1.0 is supported without the axis \`namespace\`, variables, \`id()\` and \`lang()\`, and without the extensions of
libxml2. Entities that a document declares are refused, as are other encodings than UTF-8 and ISO-8859-1. Nothing is
installed on the host.`,
  params,
  aliases: { ...{ dest: "path", file: "path" }, ensure: "state" },
  examples: [
    { path: "/etc/app.xml", xpath: "/config/port", value: "8080" },
    { path: "/etc/app.xml", xpath: "/config/user[@name='bob']", state: "absent" },
    { path: "/etc/app.xml", xpath: "/config/hosts", set_children: [{ host: "a" }, { host: { name: "b" } }] },
  ],
  title: ({ path, xpath }) => [path, xpath].filter(Boolean).join(" "),

  async inspect(given, system, context) {
    const path = given.path === undefined ? undefined : await followLinks(system, given.path);
    const current = path === undefined ? null : await system.readIfExists(path);
    if (path !== undefined && current === null) {
      const missing = `The target XML source '${given.path}' does not exist.`;
      if (!context.check) throw new VolleyError("ACTION_FAILED", missing);
      return { file: null, result: dataOf(given), unknown: missing };
    }
    const source = given.xmlstring ?? decode(current!);
    const document = parseXml(source, { stripCdata: given.strip_cdata_tags });
    const target = given.xpath === undefined ? undefined : targetOf(given.xpath, given.namespaces);
    const found = target === undefined ? {} : read(given, document, target);
    const reads = given.count || given.print_match || given.content !== undefined;
    const edited = !reads && target !== undefined && editXml(document, target, given);
    const text = writeXml(document, given.pretty_print);
    const differs = edited || (given.pretty_print && !reads && given.xpath === undefined && text !== source);
    const shown = given.xmlstring === undefined ? {} : { xmlstring: differs ? text : source };
    const result = { ...dataOf(given), ...found, ...shown };
    if (path === undefined)
      return differs ? { file: null, result, data: result, message: "changed" } : unchanged(result);
    const { owner, group, mode, backup } = given;
    const file = await inspectFile({
      ...{ system, context, path, owner, group, mode, backup },
      ...(differs ? { current, content: text } : { content: current! }),
    });
    if (file === null) return unchanged(result);
    const { diff, message } = file;
    return { file, result, data: result, diff, ...(message === undefined ? {} : { message }) };
  },

  async apply({ file, result }, _given, system): Promise<Applied<XmlData>> {
    if (file === null) return { data: result };
    const { data, message } = await applyFile(file, system);
    return { data: { ...result, ...data }, ...(message === undefined ? {} : { message }) };
  },
});

function dataOf({ xpath, namespaces, state }: Params): XmlData {
  return { actions: { xpath: xpath ?? null, namespaces, state } };
}

function decode(bytes: Uint8Array): string {
  const declared = /^(?:\xef\xbb\xbf)?<\?xml[^>]*\sencoding\s*=\s*["']([^"']+)["']/.exec(
    Buffer.from(bytes.subarray(0, 200)).toString("latin1"),
  )?.[1];
  const encoding = (declared ?? "utf-8").toLowerCase();
  if (!/^(?:utf-?8|us-ascii|iso-8859-1|latin1)$/.test(encoding))
    throw new VolleyError(
      "ACTION_FAILED",
      `the document's encoding ${declared} is not supported; convert it to UTF-8`,
    );
  if (encoding.startsWith("iso") || encoding === "latin1") return Buffer.from(bytes).toString("latin1");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new VolleyError(
      "ACTION_FAILED",
      "Error while parsing document: it is not UTF-8, and names no other encoding",
    );
  }
}

/** Read what the parameters ask for. */
function read(
  given: Params,
  document: XmlDocument,
  target: Target,
): Pick<XmlData, "msg" | "count" | "matches"> {
  const nodes = target.find(document);
  if (given.content !== undefined) {
    if (nodes.length === 0)
      throw new VolleyError("ACTION_FAILED", `Xpath ${given.xpath} does not reference a node!`);
    const { length } = nodes;
    return { msg: length, count: length, matches: nodes.map((node) => contentOf(node, given.content!)) };
  }
  const counted = given.count ? { msg: `found ${nodes.length} nodes`, count: nodes.length } : {};
  if (!given.print_match) return counted;
  const matches = nodes.map(pathOf);
  const list = matches.map((path) => JSON.stringify(path)).join(", ");
  return { ...counted, msg: `selector '${given.xpath}' match: [${list}]`, matches };
}

function contentOf(node: XpathNode, content: "attribute" | "text"): unknown {
  if (node.kind !== "element") return nodeText(node);
  if (content === "text") return { [clarkName(node)]: leadingText(node) };
  const attributes = node.attributes.filter(({ name }) => !/^xmlns(:|$)/.test(name));
  return { [clarkName(node)]: Object.fromEntries(attributes.map((own) => [clarkName(own), own.value])) };
}

/** Return the path of a node with the places of elements among those of the same name: `/a/b[2]/@c`. */
function pathOf(node: XpathNode): string {
  if (node.kind === "document") return "/";
  const above = node.parent.kind === "document" ? "/" : pathOf(node.parent);
  if (node.kind === "attribute") return posix.join(above, `@${node.name}`);
  const test = node.kind === "element" ? node.name : node.kind === "comment" ? "comment()" : "text()";
  const same = node.parent.children.filter((each) =>
    node.kind === "element" ? each.kind === "element" && each.name === node.name : each.kind === node.kind,
  );
  return posix.join(above, same.length === 1 ? test : `${test}[${same.indexOf(node) + 1}]`);
}
