import { dirname, isAbsolute, join } from "node:path";
import { readBool } from "../actions/coerce.ts";
import { isDirectory, isFile } from "../ansible/load/read.ts";
import { findMain } from "../ansible/load/roles.ts";
import { splitWords, unquote } from "../ansible/load/words.ts";
import type { SourceLocation } from "../core/errors.ts";
import { holdsTemplate, isTemplate } from "../vars/scope.ts";
import type { LintTask } from "./task.ts";
import type { Unit } from "./unit.ts";
import { lintVarsFile, yamlFiles } from "./vars-files.ts";

// Files and roles that tasks name, as far as the names hold no template.

/** Look whether the files and roles that a task names are there. */
export function lintTaskFiles(task: LintTask): void {
  if (isForgiven(task)) return;
  const { module, args } = task.node;
  const raw = args._raw_params;
  switch (module) {
    case "include":
    case "include_tasks":
    case "import_tasks": {
      const name = raw ?? args.file;
      if (typeof name === "string") takeTasks(task, name.trim());
      return;
    }
    case "include_vars": {
      const name = raw ?? args.file ?? args.dir;
      if (typeof name === "string") takeVars(task, name);
      return;
    }
    case "include_role":
    case "import_role":
      lintRoleUse(task);
      return;
    case "template":
      if (typeof args.src === "string") takeTemplate(task, args.src);
      return;
    case "copy":
    case "unarchive":
      if (readBool(args.remote_src ?? false) !== false || readBool(args.copy ?? true) !== true) return;
      if (typeof args.src === "string") needFile(task, args.src, ["files"], "file");
      return;
    case "script": {
      const line = raw ?? args.cmd;
      if (typeof line === "string" && !holdsTemplate(line))
        needFile(task, firstWord(line), ["files"], "script");
      return;
    }
    case "assemble":
      if (readBool(args.remote_src ?? true) === false && typeof args.src === "string")
        needFile(task, args.src, ["files"], "directory");
      return;
  }
}

/** Return whether the task may fail: playbooks look for files by trying to use them. */
function isForgiven({ isCaught, node: { module, keys } }: LintTask): boolean {
  // Imports are done before any task, and nothing but a rescue forgives an include.
  if (module.startsWith("import_")) return false;
  if (module === "include" || module === "include_tasks" || module === "include_role") return isCaught;
  return isCaught || readBool(keys.ignore_errors) === true || isNeverFailed(keys.failed_when);
}

/** Return the program of a command line, without quotes; empty for one that cannot be split. */
function firstWord(line: string): string {
  try {
    return unquote(splitWords(line)[0] ?? "");
  } catch {
    return "";
  }
}

function isNeverFailed(conditions: unknown): boolean {
  return Array.isArray(conditions) && conditions.some((each) => readBool(each) === false);
}

/** An included file is looked at, too; of a name with templates those that it may mean. */
function takeTasks(task: LintTask, name: string): void {
  const { unit, source } = task;
  if (!isTemplate(name)) {
    const found = needFile(task, name, ["tasks", "handlers"], "file of tasks");
    const isHandlers = task.isHandlers && task.node.module === "import_tasks";
    if (found !== undefined && isFile(found)) unit.queue.set(found, isHandlers);
    return;
  }
  // Of a role every file of tasks is looked at anyway.
  if (unit.role !== undefined || /^\s*\{\{[^}]*\}\}\s*(?:\.ya?ml)?$/.test(name)) return;
  for (const file of unit.collection.fitting(name, unit.collection.pathOf(source.file), undefined, ["tasks"]))
    unit.queue.set(file, false);
}

function takeVars(task: LintTask, name: string): void {
  const { unit, source, node } = task;
  const isNamed = node.args.name !== undefined;
  const found = isTemplate(name)
    ? fittingVars(unit, name, source.file)
    : [needFile(task, name, ["vars"], "file of vars")];
  // Under a name of its own, a file defines that name alone.
  if (isNamed) return;
  for (const file of found) {
    if (file === undefined || unit.seen.has(file)) continue;
    unit.seen.add(file);
    for (const each of isFile(file) ? [file] : yamlFiles(file)) lintVarsFile(unit, each, "included");
  }
}

/** Return the files of vars that a name with templates may mean; other YAML around fits by chance. */
export function fittingVars({ collection, base, role }: Unit, name: string, from: string): readonly string[] {
  const places = [dirname(from), base, ...(role === undefined ? [] : [role.directory])];
  return collection
    .fitting(name, collection.pathOf(from), role, ["vars"])
    .filter((file) => places.some((place) => file.startsWith(join(place, "vars/"))));
}

const MARKS = ["block", "variable", "comment"].flatMap((kind) => [
  `${kind}_start_string`,
  `${kind}_end_string`,
]);

function takeTemplate(task: LintTask, src: string): void {
  const { unit, node } = task;
  const found = needFile(task, src, ["templates"], "template");
  if (found === undefined || !isFile(found)) return;
  const given = Object.entries(node.args).filter(([name]) => MARKS.includes(name));
  const marks = Object.fromEntries(given) as Record<string, string>;
  const isKnown = given.every(([, value]) => typeof value === "string" && !/\{\{.*\}\}/.test(value));
  unit.templates.set(
    found,
    given.length === 0 ? (unit.templates.get(found) ?? {}) : isKnown ? { marks } : "unknown",
  );
}

/** Find a file that a task names; one that is not there is a finding. */
function needFile(task: LintTask, name: string, kinds: readonly string[], what: string): string | undefined {
  const { unit, source, at } = task;
  if (name === "" || isTemplate(name) || /^~|^\w+:\/\//.test(name) || isAbsolute(name)) return undefined;
  const found = findFile(unit, name, source.file, kinds);
  if (found !== undefined) return found;
  unit.findings.add(
    "missing-file",
    // Files that a role sends, its user may have put beside the playbook.
    unit.hasPlaybook || what === "file of tasks" ? "error" : "warning",
    at,
    `there is no ${what} "${name}"`,
    `it is looked for in ${kinds.map((kind) => `${kind}/`).join(" and ")} of the role and of the playbook, and beside this file`,
  );
  return undefined;
}

/** Find a file or directory that a statement in the file `from` names. */
export function findFile(
  { collection, role }: Pick<Unit, "collection" | "role">,
  name: string,
  from: string,
  kinds: readonly string[],
): string | undefined {
  const path = collection.pathOf(from);
  const here = kinds.map((kind) => join(dirname(from), kind, name));
  return [...collection.candidates(name, path, role, kinds), ...here].find(
    (each) => isFile(each) || isDirectory(each),
  );
}

function lintRoleUse({ unit, node, at }: LintTask): void {
  const { args } = node;
  const name = args.name ?? args.role;
  if (typeof name !== "string") return;
  if (isTemplate(name)) {
    unit.isOpen = true;
    return;
  }
  const used = unit.world.useRole(unit, name, at);
  const directory = used?.role?.directory;
  if (directory === undefined) return;
  for (const kind of ["tasks", "vars", "defaults", "handlers"]) {
    const from = args[`${kind}_from`];
    if (typeof from === "string") needRoleFile(unit, directory, kind, from, at);
  }
}

function needRoleFile(unit: Unit, directory: string, kind: string, from: string, at: SourceLocation): void {
  if (isTemplate(from) || findMain(join(directory, kind), from) !== undefined) return;
  unit.findings.add(
    "missing-file",
    "error",
    at,
    `the role has no file "${kind}/${from}"`,
    `it is looked for in ${unit.findings.shown(join(directory, kind))}`,
  );
}
