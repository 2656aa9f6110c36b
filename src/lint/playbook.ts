import { dirname, join, resolve } from "node:path";
import { PLAY_KEYWORDS } from "../ansible/keywords.ts";
import { isDirectory, isFile, type Mapping, mappingOf } from "../ansible/load/read.ts";
import { listFiles } from "../ansible/load/roles.ts";
import { holdsTemplate, isTemplate } from "../vars/scope.ts";
import type { YamlNode } from "../yaml/document.ts";
import { HandlerBook } from "./books.ts";
import { checkHandlers } from "./handlers.ts";
import { lintRoleUses, lintTaskFile } from "./role.ts";
import { type LintFile, openYaml } from "./source.ts";
import { findFile, fittingVars } from "./task-files.ts";
import { lintKeywords, lintTasks, noteVars, unknownKeyword } from "./tasks.ts";
import { lintTemplates } from "./template-files.ts";
import { lintTexts } from "./texts.ts";
import { makeUnit, type Unit } from "./unit.ts";
import { inventoryFiles, lintVarsFile } from "./vars-files.ts";

const IMPORTS = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"];

/** Look at a playbook, the playbooks it imports, and the files of vars and templates beside it. */
export function lintPlaybook(unit: Unit, file: string): void {
  const { base } = unit;
  for (const name of ["group_vars", "host_vars"])
    for (const vars of inventoryFiles(join(base, name))) lintVarsFile(unit, vars, "vars");
  lintPlays(unit, file);
  lintTemplates(unit, join(base, "templates"));
}

function lintPlays(unit: Unit, file: string): void {
  if (unit.seen.has(file)) return;
  unit.seen.add(file);
  const source = openYaml(file, unit.findings);
  if (source === undefined) return;
  const { reader } = source;
  const items = reader.items(reader.root);
  if (items === null || items.length === 0) {
    unit.findings.add("yaml", "error", { file: source.path }, "a playbook must be a list of plays");
    return;
  }
  for (const item of items) {
    const mapping = mappingOf(source, item);
    const imported = IMPORTS.map((key) => mapping?.entries.get(key)).find((entry) => entry !== undefined);
    if (mapping === undefined)
      unit.findings.add(
        "yaml",
        "error",
        reader.locate(item),
        "playbook entries must be either plays or 'import_playbook' statements",
      );
    else if (imported !== undefined) importPlaybook(unit, source, mapping, imported.node);
    else lintPlay(unit, source, mapping);
  }
}

function importPlaybook(unit: Unit, source: LintFile, { entries }: Mapping, node: YamlNode | null): void {
  const { findings, world } = unit;
  const name = source.reader.value(node);
  const at = source.reader.locate(node);
  lintKeywords(unit, source, new Map([...entries].filter(([key]) => PLAY_KEYWORDS.has(key))), PLAY_KEYWORDS);
  if (typeof name !== "string") {
    findings.add("invalid-task", "error", at, "import_playbook needs the name of a file");
    return;
  }
  if (holdsTemplate(name)) return;
  const file = resolve(dirname(source.file), name.split(/\s+/)[0]!);
  if (!isFile(file)) {
    findings.add(
      "missing-file",
      "error",
      at,
      `there is no playbook "${name}"`,
      `looked for ${findings.shown(file)}`,
    );
    return;
  }
  const directory = dirname(file);
  if (directory === unit.base) {
    lintPlays(unit, file);
    return;
  }
  // A playbook elsewhere has the roles and files of its own directory.
  const { vars, seen, plays, uses } = unit;
  const other: Unit = { ...makeUnit(world, directory), vars, seen, plays, uses };
  lintPlaybook(other, file);
  unit.isOpen ||= other.isOpen;
}

function lintPlay(whole: Unit, source: LintFile, { entries, location }: Mapping): void {
  const { reader } = source;
  const { findings } = whole;
  // Each play has handlers of its own.
  const unit: Unit = { ...whole, handlers: new HandlerBook(), uses: new Set(), isOpen: false, plays: [] };
  whole.plays.push(unit);
  unit.hasDefaults = entries.has("module_defaults");
  const collections = reader.value(entries.get("collections")?.node ?? null);
  unit.collections = Array.isArray(collections) ? collections.map(String) : [];
  for (const [key, entry] of entries)
    if (!PLAY_KEYWORDS.has(key)) unknownKeyword(unit, key, "Play", PLAY_KEYWORDS, entry.location);
  if (!entries.has("hosts"))
    findings.add(
      "invalid-task",
      "error",
      location,
      "the play has no 'hosts': name a group, a host or a pattern",
    );
  else if (isEmpty(reader.value(entries.get("hosts")!.node)))
    findings.add("invalid-task", "error", entries.get("hosts")!.location, "the play's 'hosts' name nothing");
  lintKeywords(unit, source, new Map([...entries].filter(([key]) => key !== "vars")), PLAY_KEYWORDS);
  const vars = entries.get("vars")?.node ?? null;
  unit.vars.lazily(() => lintTexts(unit, source, vars));
  noteVars(unit, source, vars, false);
  notePrompts(unit, source, entries.get("vars_prompt")?.node ?? null);
  lintVarsFiles(unit, source, entries.get("vars_files")?.node ?? null);
  lintRoleUses(unit, source, entries.get("roles")?.node ?? null);
  for (const key of ["pre_tasks", "tasks", "post_tasks", "handlers"])
    lintTasks(
      {
        unit,
        source,
        isHandlers: key === "handlers",
        isOutermost: true,
        hasDefaults: unit.hasDefaults,
        isCaught: false,
      },
      entries.get(key)?.node ?? null,
    );
  for (const [file, isHandlers] of unit.queue) lintTaskFile(unit, file, isHandlers, false);
  for (const used of unit.uses) whole.uses.add(used);
  whole.isOpen ||= unit.isOpen;
  checkHandlers(unit);
}

function isEmpty(hosts: unknown): boolean {
  return hosts === null || hosts === "" || (Array.isArray(hosts) && hosts.length === 0);
}

function notePrompts(unit: Unit, { reader }: LintFile, node: YamlNode | null): void {
  for (const prompt of reader.items(node) ?? []) {
    const name = reader.value(reader.entries(prompt)?.find(({ key }) => key === "name")?.value ?? null);
    if (typeof name !== "string") continue;
    unit.vars.define(name);
    unit.vars.given.add(name);
  }
}

/** Look at the files of vars of a play; of a list within the list one file must be there. */
function lintVarsFiles(unit: Unit, source: LintFile, node: YamlNode | null): void {
  const { reader } = source;
  for (const item of reader.items(node) ?? [node]) {
    if (reader.value(item) === null) continue;
    const names = (reader.items(item) ?? [item]).map((each) => reader.value(each));
    let isThere = false;
    for (const name of names) {
      if (typeof name !== "string") continue;
      if (isTemplate(name)) {
        isThere = true;
        for (const file of fittingVars(unit, name, source.file)) lintVarsFile(unit, file, "vars");
        continue;
      }
      const found = findFile(unit, name, source.file, ["vars"]);
      if (found === undefined) continue;
      isThere = true;
      const files = isDirectory(found) ? listFiles(found).map((path) => join(found, path)) : [found];
      for (const file of files) lintVarsFile(unit, file, "vars");
    }
    if (!isThere)
      unit.findings.add(
        "missing-file",
        "error",
        reader.locate(item),
        `there is no file of vars ${names.map((name) => `"${String(name)}"`).join(" or ")}`,
        "it is looked for beside this playbook, and in vars/",
      );
  }
}
