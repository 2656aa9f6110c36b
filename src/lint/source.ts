import { NeedNotes } from "../ansible/load/needs.ts";
import { parseSource, readText, type SourceFile } from "../ansible/load/read.ts";
import type { Imports } from "../ansible/load/statements.ts";
import { messageOf, type SourceLocation, VolleyError } from "../core/errors.ts";
import { Vaulted } from "../core/values/vaulted.ts";
import { isVault } from "../vars/vault-format.ts";
import type { YamlNode } from "../yaml/document.ts";
import type { Findings } from "./finding.ts";

/** A YAML file that is looked at. */
export interface LintFile extends SourceFile {
  /** Absolute. */
  readonly file: string;
  readonly lines: readonly string[];
}

/** Read and parse a YAML file; undefined for one that cannot be, which is a finding, and for one that is encrypted. */
export function openYaml(file: string, findings: Findings): LintFile | undefined {
  const shown = findings.shown(file);
  findings.looked(file);
  try {
    const text = readText(file, shown);
    if (isVault(text)) return undefined;
    const seal = (_text: string, { line }: SourceLocation): Vaulted => new Vaulted(0, `${shown}:${line}`);
    const source = parseSource(text, shown, seal, (key, at, first) =>
      findings.add(
        "duplicate-key",
        "warning",
        at,
        `the key "${key}" is written twice; the first one, on line ${first.line}, does not count`,
        "remove one of them",
      ),
    );
    // Tags and aliases are looked at only with the values.
    source.reader.value(source.reader.root);
    return { ...source, file, lines: text.split("\n") };
  } catch (thrown) {
    findings.addThrown("yaml", thrown, { file: shown });
    return undefined;
  }
}

/** A text within a YAML file. */
export interface PlacedText {
  readonly text: string;
  readonly at: SourceLocation;
  /** The keys that lead to the text from where the search began. */
  readonly path: readonly string[];
}

/** Aliases may make a document endless. */
const MAX_DEPTH = 64;

/** Call `visit` on each text of a node, at any depth. Data, which is no template, is passed over. */
export function eachText(
  source: LintFile,
  node: YamlNode | null,
  visit: (placed: PlacedText) => void,
  path: readonly string[] = [],
): void {
  if (node === null || path.length > MAX_DEPTH) return;
  const { reader } = source;
  const entries = reader.entries(node);
  if (entries !== null) {
    for (const { key, value } of entries) eachText(source, value, visit, [...path, key]);
    return;
  }
  const items = reader.items(node);
  if (items !== null) {
    items.forEach((item, index) => {
      eachText(source, item, visit, [...path, String(index)]);
    });
    return;
  }
  const text = reader.value(node);
  if (typeof text === "string") visit({ text, at: reader.locate(node), path });
}

/** Return the place of a line of a text, counted from 1: exact for a block of literal lines, else that of the text. */
export function placeInText({ lines }: LintFile, at: SourceLocation, line: number): SourceLocation {
  const mark = lines[(at.line ?? 1) - 1]?.slice((at.column ?? 1) - 1) ?? "";
  if (!/^\|[-+\d]*\s*(?:#.*)?$/.test(mark) || at.line === undefined) return at;
  return { file: at.file, line: at.line + line };
}

/** Return the vars of a YAML file with the places of their names; undefined for a file that is no mapping. */
export function varsIn(
  source: LintFile,
  findings: Findings,
):
  | readonly { readonly name: string; readonly at: SourceLocation; readonly node: YamlNode | null }[]
  | undefined {
  const { reader } = source;
  if (reader.root === null || reader.value(reader.root) === null) return [];
  const entries = reader.entries(reader.root);
  if (entries === null) {
    findings.add(
      "yaml",
      "error",
      reader.locate(reader.root),
      "a vars file must hold a mapping of names to values",
    );
    return undefined;
  }
  return entries.map(({ key, location, value }) => ({ name: key, at: location, node: value }));
}

/** Carry out `work`; what it throws becomes a finding, with the location as a fallback. */
export function attempt<T>(findings: Findings, at: SourceLocation, work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    const message = messageOf(thrown);
    const rule = /is not a valid attribute for a/.test(message)
      ? "unknown-keyword"
      : /^Invalid options for/.test(message)
        ? "unknown-parameter"
        : "invalid-task";
    findings.addThrown(rule, thrown, at);
    return undefined;
  }
}

/** The loader as the reader of statements needs it: what statements bring in is looked at elsewhere. */
export function lintImports(more: Partial<Pick<Imports, "isModule" | "findRole">> = {}): Imports {
  return {
    importTasks: (path) => ({ path, nodes: [] }),
    includesAre: "dynamic",
    findRole: (name) => ({ name }),
    fill: () => undefined,
    needed: (use) => use,
    fitRoles: () => {},
    mention: () => {},
    needs: new NeedNotes(),
    isModule: () => true,
    ...more,
  };
}
