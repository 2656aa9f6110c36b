import { isVarName } from "../ansible/keywords.ts";
import { moduleFault } from "../ansible/module-names.ts";
import { taskFaults } from "../ansible/task-faults.ts";
import type { SourceLocation } from "../core/errors.ts";
import { isTemplate } from "../vars/scope.ts";
import { eachText } from "./source.ts";
import type { LintTask } from "./task.ts";
import { lintConditions, lintExpression } from "./texts.ts";

// Modules and their arguments.

/** Look at a task's module and its arguments. */
export function lintModule(task: LintTask): void {
  const { unit, node, at } = task;
  const { module } = node;
  const { library } = unit.collection;
  const { modules } = unit.world;
  const fault = moduleFault(module, library, modules);
  if (fault !== undefined) {
    const [rule, hint] =
      fault.kind === "python"
        ? (["python-module", "hosts need no Python: use a module that Volley has, or a program"] as const)
        : ([
            "unknown-module",
            "`volley doc` lists the modules; a run fails where it reaches this task",
          ] as const);
    unit.findings.add(rule, "error", at, fault.message, hint);
  }
  noteEffects(task);
  // The parameters and facts of a library module are its own business.
  if (Object.hasOwn(library, module)) unit.vars.isOpen = true;
  if (fault !== undefined || Object.hasOwn(library, module) || module.includes("{{")) return;
  lintExpressions(task);
  if (module === "shell") lintShell(task);
  lintArguments(task);
}

/** Note the vars that a task sets. */
function noteEffects(task: LintTask): void {
  const { unit, node } = task;
  const { module, args } = node;
  if (module === "set_fact") {
    for (const name of Object.keys(args)) {
      if (isTemplate(name) || name === "_raw_params") unit.vars.isOpen = true;
      else if (name !== "cacheable") unit.vars.setBy(name);
      if (!isTemplate(name) && !isVarName(name))
        unit.findings.add(
          "invalid-value",
          "error",
          placesOf(task)(name),
          `set_fact needs names of vars: letters, digits and "_", not ${JSON.stringify(name)}`,
        );
    }
    if (node.argsFrom !== undefined) unit.vars.isOpen = true;
  }
  if (module === "include_vars" && typeof args.name === "string") unit.vars.setBy(args.name);
  if (module === "add_host") unit.vars.setBy(...Object.keys(args));
}

/** The place of an argument: its key, where arguments are a mapping. */
function placesOf({ source, call, mapping, at }: LintTask): (name: string | undefined) => SourceLocation {
  const places = new Map<string, SourceLocation>();
  for (const entry of [mapping.entries.get("args"), call])
    for (const { key, location } of (entry && source.reader.entries(entry.node)) ?? [])
      places.set(key, location);
  return (name) => (name === undefined ? undefined : places.get(name)) ?? at;
}

const RULE_OF = {
  unknown: "unknown-parameter",
  missing: "missing-parameter",
  value: "invalid-value",
  conflict: "parameter-conflict",
} as const;

function lintArguments(task: LintTask): void {
  const { unit, node, hasDefaults } = task;
  const { module, args } = node;
  const place = placesOf(task);
  const isPartial = node.argsFrom !== undefined || hasDefaults;
  for (const fault of taskFaults({ module, args, isPartial }, unit.world.modules)) {
    const { kind, argument, message, hint, isWarning = false } = fault;
    unit.findings.add(RULE_OF[kind], isWarning ? "warning" : "error", place(argument), message, hint);
  }
}

/** Look at arguments that are expressions. */
function lintExpressions({ unit, source, call, node, at }: LintTask): void {
  const own = call === undefined ? [] : (source.reader.entries(call.node) ?? []);
  const { that, var: name } = node.args;
  if (node.module === "assert") {
    const entry = own.find(({ key }) => key === "that");
    if (entry !== undefined) lintConditions(unit, source, entry.value);
    else if (typeof that === "string" && !isTemplate(that))
      lintExpression(unit, source, { text: that, at, path: [] });
  }
  if (node.module === "debug" && typeof name === "string") {
    if (isTemplate(name)) return;
    const entry = own.find(({ key }) => key === "var");
    const before = unit.vars.used.length;
    lintExpression(unit, source, { text: name, at: entry?.location ?? at, path: [] });
    // Of an undefined var it says so, and does not fail.
    unit.vars.used.length = before;
  }
}

/** Note the command lines of the shell. */
function lintShell({ unit, source, call }: LintTask): void {
  eachText(source, call?.node ?? null, ({ text, at, path }) => {
    if (isTemplate(text) && (path.length === 0 || path[0] === "cmd")) unit.vars.shell.push({ text, at });
  });
}
