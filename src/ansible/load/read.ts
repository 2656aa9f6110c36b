import { readFileSync } from "node:fs";
import { type SourceLocation, VolleyError } from "../../core/errors.ts";
import { decodeUtf8, fileReason } from "../../core/unix/user-file.ts";
import { Data, isDict, mapLeaves } from "../../core/values/value.ts";
import { statPath } from "../../system/stat-path.ts";
import { isVault } from "../../vars/vault-format.ts";
import { parseYamlDocument, type YamlNode, type YamlReader } from "../../yaml/document.ts";

/** Return what stands for a value that is encrypted with Ansible Vault. */
export type Seal = (text: string, location: SourceLocation) => unknown;

/** A mapping of a YAML file, with the places of its keys. */
export interface Mapping {
  readonly location: SourceLocation;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** A value of a mapping. */
export interface Entry {
  readonly location: SourceLocation;
  readonly node: YamlNode | null;
}

/** A YAML file of a playbook. */
export interface SourceFile {
  readonly reader: YamlReader;
  readonly path: string;
}

/** Read the text of a file, encrypted or not. Fails with `PLAYBOOK_INVALID`. */
export function readText(file: string, shown: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    throw new VolleyError("PLAYBOOK_INVALID", `${shown} cannot be read: ${fileReason(cause)}`, { cause });
  }
  const decoded = decodeUtf8(bytes);
  if (!("text" in decoded))
    throw new VolleyError("PLAYBOOK_INVALID", "this is not UTF-8", {
      location: { file: shown, line: decoded.line },
    });
  return decoded.text;
}

/** Parse a YAML file of a playbook; `repeated` is told of keys that are written twice. Fails with `PLAYBOOK_INVALID`, line and column. */
export function parseSource(
  text: string,
  path: string,
  seal: Seal,
  repeated?: (key: string, location: SourceLocation, first: SourceLocation) => void,
): SourceFile {
  if (isVault(text))
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "this file is encrypted with Ansible Vault: only files of vars may be",
      {
        location: { file: path, line: 1 },
        hint: "decrypt it with ansible-vault decrypt, and encrypt the secrets in it with ansible-vault encrypt_string",
      },
    );
  const dialect = {
    code: "PLAYBOOK_INVALID" as const,
    lastWins: true,
    ...(repeated === undefined ? {} : { repeated }),
    tagged: ({
      tag,
      text: scalar,
      isKey,
      location,
      value,
    }: Parameters<Parameters<typeof parseYamlDocument>[2]["tagged"]>[0]): unknown => {
      switch (tag) {
        case "!unsafe":
          return mapLeaves(scalar ?? value(), (leaf) => (typeof leaf === "string" ? new Data(leaf) : leaf));
        case "!vault":
        case "!vault-encrypted":
          return scalar === undefined || isKey ? undefined : seal(scalar, location);
        case "!!binary":
          return scalar === undefined ? undefined : Buffer.from(scalar, "base64").toString();
        case "!!set":
        case "!!omap":
          return value();
        default:
          return undefined;
      }
    },
  };
  return { reader: parseYamlDocument(text, path, dialect), path };
}

/** Read a file of vars: a mapping, or several documents of which all are merged. Fails with `PLAYBOOK_INVALID`. */
export function readVars(text: string, path: string, seal: Seal): Record<string, unknown> {
  const { reader } = parseSource(text, path, seal);
  if (reader.root === null) return {};
  const value = reader.value(reader.root);
  if (value === null) return {};
  if (!isDict(value))
    throw new VolleyError("PLAYBOOK_INVALID", "a vars file must hold a mapping of names to values", {
      location: { file: path },
    });
  return value instanceof Map
    ? Object.fromEntries([...value].map(([key, item]) => [String(key), item]))
    : value;
}

/** Return the entries of a mapping; undefined for another node. */
export function mappingOf({ reader }: SourceFile, node: YamlNode | null): Mapping | undefined {
  const entries = reader.entries(node);
  if (entries === null) return undefined;
  return {
    location: reader.locate(node),
    entries: new Map(entries.map(({ key, value, location }) => [key, { node: value, location }])),
  };
}

/** Return whether a path is a file. */
export function isFile(path: string): boolean {
  return statPath(path)?.isFile() === true;
}

/** Return whether a path is a directory. */
export function isDirectory(path: string): boolean {
  return statPath(path)?.isDirectory() === true;
}

/** Return a dict with names as keys; an empty one for another value. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isDict(value) && !(value instanceof Map) ? value : {};
}
