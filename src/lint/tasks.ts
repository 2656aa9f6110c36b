import { readBool } from "../actions/coerce.ts";
import {
  BLOCK_KEYWORDS,
  INCLUDES,
  isVarName,
  LOOP_CONTROL_KEYWORDS,
  shortModuleName,
  TASK_KEYWORDS,
} from "../ansible/keywords.ts";
import { type Entry, type Mapping, mappingOf } from "../ansible/load/read.ts";
import { readTask } from "../ansible/load/statements.ts";
import { isModuleName } from "../ansible/module-names.ts";
import { didYouMean, type SourceLocation } from "../core/errors.ts";
import { isDict, numeric } from "../core/values/value.ts";
import { unknownLookup } from "../template/inspect.ts";
import { isTemplate } from "../vars/scope.ts";
import type { YamlNode } from "../yaml/document.ts";
import { attempt, type LintFile, lintImports } from "./source.ts";
import type { LintTask, Surroundings } from "./task.ts";
import { lintModule } from "./task-arguments.ts";
import { lintTaskFiles } from "./task-files.ts";
import { lintConditions, lintTexts } from "./texts.ts";
import type { Unit } from "./unit.ts";

/** Look at a list of tasks and blocks. */
export function lintTasks(around: Surroundings, node: YamlNode | null): void {
  const { source, unit } = around;
  const { reader } = source;
  if (node === null || reader.value(node) === null) return;
  const items = reader.items(node);
  if (items === null) {
    unit.findings.add("yaml", "error", reader.locate(node), "a list of tasks is expected here");
    return;
  }
  for (const item of items) {
    if (item === null || reader.value(item) === null) continue;
    const mapping = mappingOf(source, item);
    if (mapping === undefined)
      unit.findings.add("invalid-task", "error", reader.locate(item), "a task must be a mapping of keywords");
    else if (mapping.entries.has("block")) lintBlock(around, mapping);
    else lintTask(around, mapping);
  }
}

function lintBlock(around: Surroundings, mapping: Mapping): void {
  const { unit, source } = around;
  const { entries } = mapping;
  for (const [key, { location }] of entries)
    if (!BLOCK_KEYWORDS.has(key)) unknownKeyword(unit, key, "Block", BLOCK_KEYWORDS, location);
  lintKeywords(unit, source, entries, BLOCK_KEYWORDS);
  const inner: Surroundings = {
    ...around,
    hasDefaults: around.hasDefaults || entries.has("module_defaults"),
  };
  const list = (key: string, more: Partial<Surroundings> = {}): void =>
    lintTasks({ ...inner, ...more }, entries.get(key)?.node ?? null);
  list("block", { isCaught: around.isCaught || entries.has("rescue") });
  list("rescue");
  list("always");
}

/** Report a keyword that a kind of statement does not have. */
export function unknownKeyword(
  unit: Unit,
  key: string,
  kind: string,
  known: Iterable<string>,
  at: SourceLocation,
): void {
  unit.findings.add(
    "unknown-keyword",
    "error",
    at,
    `'${key}' is not a valid attribute for a ${kind}${didYouMean(key, known)}`,
  );
}

function isModule(unit: Unit, name: string): boolean {
  const short = shortModuleName(name);
  return (
    isModuleName(short) ||
    unit.world.modules.find(short) !== undefined ||
    Object.hasOwn(unit.collection.library, name)
  );
}

function lintTask(around: Surroundings, mapping: Mapping): void {
  const { unit, source } = around;
  const { findings } = unit;
  const { location } = mapping;
  const isKeyword = (key: string): boolean => TASK_KEYWORDS.has(key) || key.startsWith("with_");
  const strange = [...mapping.entries.keys()].filter((key) => !isKeyword(key));
  const isGiven = mapping.entries.has("action") || mapping.entries.has("local_action");
  const known = strange.filter((key) => isModule(unit, key));
  let entries = mapping.entries;
  // One key is the module, and the others are slips: each is told, and the rest of the task is looked at.
  if (strange.length > 1 && known.length === 1 && !isGiven) {
    for (const key of strange.filter((each) => each !== known[0]))
      unknownKeyword(unit, key, "Task", TASK_KEYWORDS, entries.get(key)!.location);
    entries = new Map([...entries].filter(([key]) => isKeyword(key) || key === known[0]));
  }
  const [module] = strange.length > 1 ? known : strange;
  const call = entries.get(module ?? (entries.has("action") ? "action" : "local_action"));
  const short = module === undefined ? "" : shortModuleName(module);
  const isImport = short === "import_tasks" || short === "import_role";
  const loop = [...entries.keys()].find((key) => key === "loop" || key.startsWith("with_"));
  if (isImport && loop !== undefined)
    findings.add(
      "invalid-task",
      "error",
      entries.get(loop)!.location,
      `'${short}' cannot loop: it is read before the run begins`,
      `use ${short.replace("import", "include")} instead`,
    );
  // An import is read as an include, whose arguments stay in sight.
  const read = isImport
    ? new Map(
        [...entries].map(([key, entry]) => [
          key === module ? short.replace("import", "include") : key,
          entry,
        ]),
      )
    : entries;
  const from = unit.vars.used.length;
  lintKeywords(unit, source, entries, TASK_KEYWORDS);
  const node = attempt(findings, location, () =>
    readTask(source, { location, entries: read }, lintImports({ isModule: (name) => isModule(unit, name) })),
  );
  if (node?.kind !== "task") return;
  const task: LintTask = {
    ...around,
    hasDefaults: around.hasDefaults || entries.has("module_defaults"),
    node: isImport ? { ...node, module: short } : node,
    mapping: { location, entries },
    call,
    at: call?.location ?? location,
  };
  noteHandler(task);
  lintModule(task);
  checkItem(task, from);
  lintTaskFiles(task);
}

/** Keywords with a value of a certain type, as far as it is no template. */
const TYPES: Readonly<Record<string, "bool" | "number">> = {
  any_errors_fatal: "bool",
  become: "bool",
  check_mode: "bool",
  delegate_facts: "bool",
  diff: "bool",
  force_handlers: "bool",
  gather_facts: "bool",
  ignore_errors: "bool",
  ignore_unreachable: "bool",
  no_log: "bool",
  run_once: "bool",
  async: "number",
  delay: "number",
  max_fail_percentage: "number",
  poll: "number",
  port: "number",
  retries: "number",
  throttle: "number",
  timeout: "number",
};

const CONDITIONS = new Set(["when", "changed_when", "failed_when", "until"]);
/** Keywords that hold statements, which are looked at by themselves. */
const STATEMENTS = new Set([
  "block",
  "rescue",
  "always",
  "tasks",
  "pre_tasks",
  "post_tasks",
  "handlers",
  "roles",
]);

/** Look at the keywords of a play, block, task or use of a role: their values, templates and vars. */
export function lintKeywords(
  unit: Unit,
  source: LintFile,
  entries: ReadonlyMap<string, Entry>,
  keywords: ReadonlySet<string>,
): void {
  const { reader } = source;
  for (const [key, { node, location }] of entries) {
    if (STATEMENTS.has(key)) continue;
    if (CONDITIONS.has(key)) {
      lintConditions(unit, source, node);
      continue;
    }
    if (key === "vars") unit.vars.lazily(() => lintTexts(unit, source, node));
    else lintTexts(unit, source, node);
    if (!keywords.has(key) && !key.startsWith("with_")) continue;
    const value = reader.value(node);
    const type = TYPES[key];
    if (type !== undefined && value !== null && !isTemplate(value)) {
      const fits =
        type === "bool"
          ? readBool(value) !== undefined
          : numeric(value) !== undefined ||
            (typeof value === "string" && /^\s*-?\d+(?:\.\d+)?\s*$/.test(value));
      if (!fits)
        unit.findings.add(
          "invalid-value",
          "error",
          reader.locate(node),
          `the keyword '${key}' must be ${type === "bool" ? "true or false" : "a number"}`,
        );
    }
    switch (key) {
      case "vars":
        noteVars(unit, source, node, true);
        break;
      case "register":
        if (typeof value === "string") unit.vars.setBy(value);
        if (value !== null && !isVarName(value))
          unit.findings.add(
            "invalid-value",
            "error",
            reader.locate(node),
            `'register' needs the name of a var: letters, digits and "_", not ${JSON.stringify(value)}`,
          );
        break;
      case "notify":
        for (const name of texts(source, node)) unit.handlers.notify(name.text, name.at);
        break;
      case "loop":
        if (value !== null && !Array.isArray(value) && !isTemplate(value)) {
          const isMapping = isDict(value);
          unit.findings.add(
            "invalid-value",
            "error",
            reader.locate(node),
            `'loop' needs a list, and this is ${isMapping ? "a dict" : typeof value === "string" ? `the text "${value}"` : String(value)}`,
            isMapping
              ? "loop over its entries with with_dict"
              : "to loop over a var, write it as a template: {{ … }}",
          );
        }
        break;
      case "loop_control":
        lintLoopControl(unit, source, node);
        break;
      default:
        if (key.startsWith("with_")) lintLookup(unit, key.slice("with_".length), location);
    }
  }
}

function lintLookup(unit: Unit, name: string, at: SourceLocation): void {
  const unknown = unknownLookup(name);
  if (unknown === undefined) return;
  unit.findings.add("unknown-lookup", "error", at, `there is no lookup "${name}"${unknown.near}`);
}

function lintLoopControl(unit: Unit, source: LintFile, node: YamlNode | null): void {
  for (const { key, value, location } of source.reader.entries(node) ?? []) {
    if (!LOOP_CONTROL_KEYWORDS.has(key))
      unknownKeyword(unit, key, "LoopControl", LOOP_CONTROL_KEYWORDS, location);
    const name = source.reader.value(value);
    if ((key === "loop_var" || key === "index_var") && typeof name === "string") unit.vars.setBy(name);
  }
}

/** Return the texts of a value that is one, or a list of them. */
function texts(
  { reader }: LintFile,
  node: YamlNode | null,
): readonly { readonly text: string; readonly at: SourceLocation }[] {
  return (reader.items(node) ?? [node]).flatMap((item) => {
    const text = reader.value(item);
    return typeof text === "string" ? [{ text, at: reader.locate(item) }] : [];
  });
}

/** Note the vars of a `vars` keyword. `isOver`: they win over all vars but those that tasks set. */
export function noteVars(unit: Unit, source: LintFile, node: YamlNode | null, isOver: boolean): void {
  const { reader } = source;
  for (const part of reader.items(node) ?? [node])
    for (const { key, value } of reader.entries(part) ?? []) {
      unit.vars.define(key);
      const text = reader.value(value);
      if (isOver && typeof text === "string")
        unit.vars.own.push({ name: key, text, at: reader.locate(value) });
    }
}

function noteHandler({ unit, source, isHandlers, isOutermost, node, mapping, at }: LintTask): void {
  if (!isHandlers) return;
  const listen = mapping.entries.get("listen")?.node ?? null;
  const names = [
    ...(node.name === undefined ? [] : [node.name]),
    ...texts(source, listen).map(({ text }) => text),
  ];
  // Includes among handlers, and what they bring in, need no notification of their own names.
  if (INCLUDES.has(node.module) || !isOutermost) unit.handlers.known.push(...names);
  else unit.handlers.declare(names, mapping.entries.get("name")?.location ?? at);
}

/** Report `item` in a task that has no loop, where no loop around it can be. `from`: the first of the task's uses of vars. */
function checkItem({ unit, isOutermost, mapping }: LintTask, from: number): void {
  if (!isOutermost || unit.vars.defined.has("item")) return;
  if ([...mapping.entries.keys()].some((key) => key === "loop" || key.startsWith("with_"))) return;
  for (const { name, at } of unit.vars.used.slice(from))
    if (name === "item")
      unit.findings.add("undefined-variable", "error", at, "the task has no loop, so there is no 'item'");
}
