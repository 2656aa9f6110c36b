import { type SourceLocation, VolleyError } from "../core/errors.ts";
import { isSecret, makeSecret, parseSecret } from "../core/secret.ts";
import { Data, mapLeaves } from "../core/values/value.ts";
import type { TaggedNode, YamlDialect, YamlEntry, YamlNode, YamlReader } from "./document.ts";
import { resolveScalar } from "./scalar.ts";

/**
 * Read the YAML of an inventory or a vars file, as Ansible does: `!unsafe` is data; `!secret` and `!vault` are stand-ins
 * of secrets. `secretFrom` names the origin of a text that was encrypted as a whole: each value in it is then a secret.
 * Fail with `INVENTORY_INVALID`, line and column.
 */
export async function readYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  const simple = secretFrom === undefined ? readSimpleYaml(file, text) : null;
  return simple ?? (await parseYaml(file, text, secretFrom));
}

/** Read YAML by the parser alone, which is loaded on the first call: see {@link readYaml}. */
export async function parseYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  const { parseYamlDocument } = await import("./document.ts");
  return parseYamlDocument(text, file, dialectFor(secretFrom));
}

function dialectFor(secretFrom: string | undefined): YamlDialect {
  const dialect = { code: "INVENTORY_INVALID", tagged } as const;
  if (secretFrom === undefined) return dialect;
  return {
    ...dialect,
    scalar: (value, location) =>
      // Of an encrypted file, texts and numbers are secrets; an empty text, a boolean or null says nothing.
      value === null || value === "" || typeof value === "boolean" || isSecret(value)
        ? value
        : makeSecret({ kind: "opened", from: secretFrom, value: value as string | number }, { location }),
  };
}

function tagged({ tag, text, isKey, location, value }: TaggedNode): unknown {
  switch (tag) {
    case "!unsafe":
      return isKey ? text : mapLeaves(text ?? value(), asData);
    case "!vault":
    case "!vault-encrypted":
      if (text === undefined) return undefined;
      return isKey ? refuseKey(location) : makeSecret({ kind: "vault", text }, { location });
    case "!secret":
      return isKey ? refuseKey(location) : parseSecret(text ?? value(), location);
    default:
      return undefined;
  }
}

function asData(leaf: unknown): unknown {
  return typeof leaf === "string" ? new Data(leaf) : leaf;
}

function refuseKey(location: SourceLocation): never {
  throw new VolleyError("INVENTORY_INVALID", "a key cannot be a secret", { location });
}

// These patterns err on the side of giving up: the parser reads any text that is not plainly simple.
const KEY = String.raw`[A-Za-z0-9_][A-Za-z0-9_.-]*(?:\[[A-Za-z0-9:]+\][A-Za-z0-9_.-]*)*`;
const LINE = new RegExp(`^( *)(${KEY}):(?: +(.*))?$`);
const PLAIN = /^(?:[A-Za-z0-9_./~+]|-(?=[^ -]))(?:[A-Za-z0-9_./~+@=, -]|:(?=[^ ]))*$/;
const FLOW_PAIR = new RegExp(`^( *)(${KEY}): +((?:[A-Za-z0-9_./~+]|-(?=[0-9A-Za-z]))[A-Za-z0-9_./~+@= -]*)$`);
const QUOTED = /^(?:"([^"\\]*)"|'([^']*)')(?: +#.*)?$/;

interface SimpleNode extends YamlNode {
  readonly line: number;
  readonly column: number;
  /** The text of a scalar. */
  readonly text?: string;
  readonly quoted?: boolean;
  /** The entries of a mapping, by key. */
  readonly entries?: Map<string, YamlEntry>;
}

function withoutComment(written: string): string {
  return written.replace(/(?:^| )#.*$/, "").trimEnd();
}

/** Return the value on a line; null for one that is not simple. */
function parseValue(file: string, written: string, line: number, column: number): SimpleNode | null {
  const quoted = QUOTED.exec(written.trimEnd());
  if (quoted !== null) return { line, column, text: quoted[1] ?? quoted[2]!, quoted: true };
  const text = withoutComment(written);
  if (PLAIN.test(text)) return { line, column, text };
  if (!text.startsWith("{") || !text.endsWith("}")) return null;
  const entries = new Map<string, YamlEntry>();
  if (text === "{}") return { line, column, entries };
  let at = column + 1;
  for (const part of text.slice(1, -1).split(",")) {
    const [, indent, key, value] = FLOW_PAIR.exec(part) ?? [];
    if (key === undefined || resolveScalar(key) !== key || entries.has(key)) return null;
    const node: SimpleNode = { line, column: at + part.length - value!.length, text: value!.trimEnd() };
    entries.set(key, { key, value: node, location: { file, line, column: at + indent!.length } });
    at += part.length + 1;
  }
  return { line, column, entries };
}

function parseLines(file: string, lines: readonly string[]): SimpleNode | null | undefined {
  const root: SimpleNode = { line: 1, column: 1, entries: new Map() };
  const open: { readonly indent: number; readonly entries: Map<string, YamlEntry> }[] = [
    { indent: 0, entries: root.entries! },
  ];
  // The entry whose mapping may follow, indented.
  let last: {
    readonly key: string;
    readonly into: Map<string, YamlEntry>;
    readonly location: SourceLocation;
  } | null = null;
  for (const [index, text] of lines.entries()) {
    if (text === "" || /^ *(?:#.*)?$/.test(text)) continue;
    if (text === "---" && root.entries!.size === 0) continue;
    const match = LINE.exec(text);
    if (match === null) return undefined;
    const [, { length: indent }, key, written = ""] = match as unknown as [string, string, string, string?];
    // The parser reads keys that are no text.
    if (resolveScalar(key) !== key) return undefined;
    const line = index + 1;
    let level = open.at(-1)!;
    if (indent > level.indent) {
      if (last === null) return undefined;
      level = { indent, entries: new Map() };
      const nested: SimpleNode = { line, column: indent + 1, entries: level.entries };
      last.into.set(last.key, { key: last.key, value: nested, location: last.location });
      open.push(level);
    } else {
      while (level.indent > indent) {
        open.pop();
        level = open.at(-1)!;
      }
      if (level.indent !== indent) return undefined;
    }
    if (level.entries.has(key)) return undefined;
    const location = { file, line, column: indent + 1 };
    const isEmpty = withoutComment(written) === "";
    const value = isEmpty ? null : parseValue(file, written, line, text.length - written.length + 1);
    if (!isEmpty && value === null) return undefined;
    level.entries.set(key, { key, value, location });
    last = value === null ? { key, into: level.entries, location } : null;
  }
  return root.entries!.size === 0 ? null : root;
}

/**
 * Read YAML that is nothing but mappings of names to short values, as most inventories are; null for any other text. The
 * parser is not loaded for it, and would take several times as long.
 */
export function readSimpleYaml(file: string, text: string): YamlReader | null {
  const root = parseLines(file, text.split("\n"));
  if (root === undefined) return null;
  const entries = (node: YamlNode | null): readonly YamlEntry[] | null => {
    const found = (node as SimpleNode | null)?.entries;
    return found === undefined ? null : [...found.values()];
  };
  const value = (node: YamlNode | null): unknown => {
    if (node === null) return null;
    const { text: scalar, quoted } = node as SimpleNode;
    if (scalar !== undefined) return quoted === true ? scalar : resolveScalar(scalar);
    return Object.fromEntries(entries(node)!.map((entry) => [entry.key, value(entry.value)]));
  };
  const locate = (node: YamlNode | null): SourceLocation => {
    if (node === null) return { file };
    const { line, column } = node as SimpleNode;
    return { file, line, column };
  };
  // A text with lists is not simple.
  return { root, entries, items: () => null, value, locate };
}
