import { didYouMean, type SourceLocation } from "../core/errors.ts";
import { splitWords } from "../core/unix/shell.ts";
import { readPythonLiteral } from "../core/values/python-literal.ts";
import { isIPv6 } from "../patterns/names.ts";
import {
  addChild,
  addHosts,
  type DraftGroup,
  declareGroup,
  entry,
  groupScope,
  invalid,
  mentionGroup,
  type ReadContext,
  setGroupVar,
} from "./draft.ts";

const SECTION = /^\[([^:\]\s]*)(?::([^\]\s]*))?\]\s*(?:[#;].*)?$/;
const KINDS = ["hosts", "vars", "children"] as const;
type Kind = (typeof KINDS)[number];

function wordsOf(line: string, location: SourceLocation): readonly string[] {
  return splitWords(line, {
    escapes: "shlex",
    comments: true,
    fail: (fault, at) => {
      if (fault.kind !== "comment") {
        const what =
          fault.kind === "quote" ? `a quote (${fault.mark}) is never closed` : "a backslash stands last";
        throw invalid(what, location);
      }
      throw invalid(
        `"${fault.word}#…" is cut off at the # when Ansible reads it`,
        { ...location, column: at + 1 },
        { hint: "Put the value in quotes, or a space before the comment." },
      );
    },
  });
}

function readHostLine(context: ReadContext, group: DraftGroup, line: string, location: SourceLocation): void {
  const [written, ...assignments] = wordsOf(line, location);
  if (written === undefined) return;
  const added = addHosts(context, group, written, location);
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    if (equals < 1) {
      throw invalid(`"${assignment}" behind host ${written} must be key=value`, location, {
        hint: "One host to a line.",
      });
    }
    const value = readValue(assignment.slice(equals + 1));
    for (const { name, vars } of added) {
      vars.set(assignment.slice(0, equals), entry(context, value, `host ${name}`, location.line));
    }
  }
}

function readVarLine(context: ReadContext, group: DraftGroup, line: string, location: SourceLocation): void {
  const equals = line.indexOf("=");
  if (equals < 1) throw invalid(`"${line}" in [${group.name}:vars] must be key=value`, location);
  const value = readValue(line.slice(equals + 1).trim());
  setGroupVar(
    group,
    line.slice(0, equals).trim(),
    entry(context, value, groupScope(group.name), location.line),
  );
}

/** Read a value as Ansible does: as a Python literal (`8`, `True`, `[1, 2]`), else as text (`true`, `0644`, `/srv/www`). */
export function readValue(text: string): unknown {
  const value = readPythonLiteral(text);
  return value === undefined ? text : value;
}

function openSection(
  context: ReadContext,
  match: RegExpExecArray,
  location: SourceLocation,
): [DraftGroup, Kind] {
  const [, name, written = "hosts"] = match;
  const kind = KINDS.find((candidate) => candidate === written);
  if (name === "" || kind === undefined) {
    const hint = "Sections are [group], [group:vars] and [group:children].";
    const suggestion = kind === undefined ? didYouMean(written, KINDS) : "";
    throw invalid(`unknown section ${match[0].trim()}${suggestion}`, location, { hint });
  }
  // Vars alone do not declare a group; otherwise a misspelt name would make one.
  const group = (kind === "vars" ? mentionGroup : declareGroup)(context.draft, name!, location);
  return [group, kind];
}

/** Read an inventory in Ansible's INI format into a draft. Fail with `INVENTORY_INVALID` and the line. */
export function readIniInventory(context: ReadContext, text: string): void {
  let group = declareGroup(context.draft, "ungrouped", { file: context.file });
  let kind: Kind = "hosts";
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const location = { file: context.file, line: index + 1 };
    const section = SECTION.exec(line);
    if (section !== null && !isIPv6(line.slice(1, -1))) {
      [group, kind] = openSection(context, section, location);
      continue;
    }
    switch (kind) {
      case "hosts":
        readHostLine(context, group, line, location);
        break;
      case "vars":
        readVarLine(context, group, line, location);
        break;
      case "children": {
        const child = wordsOf(line, location)[0]!;
        mentionGroup(context.draft, child, location);
        addChild(group, child, location);
        break;
      }
    }
  }
}
