import { argumentFaults } from "../actions/check-arguments.ts";
import { parameterNames } from "../actions/define.ts";
import { COMMANDS, FREE_FORM, isVarName } from "../ansible/keywords.ts";
import { moduleFault } from "../ansible/module-names.ts";
import { META_ACTIONS, OWN_PARAMETERS } from "../ansible/own-parameters.ts";
import { didYouMean, type SourceLocation } from "../core/errors.ts";
import { isDict, mapLeaves } from "../core/values/value.ts";
import { Vaulted } from "../core/values/vaulted.ts";
import { holdsTemplate, isTemplate } from "../vars/scope.ts";
import { eachText } from "./source.ts";
import type { LintTask } from "./task.ts";
import { lintConditions, lintExpression } from "./texts.ts";

// Modules and their arguments.

/** Arguments that `service` hands to `systemd`. */
const SYSTEMD = ["daemon-reload", "daemon_reload", "masked", "scope", "no_block", "daemon_reexec"];

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
  if (module === "meta") lintMeta(task);
  else if (Object.hasOwn(OWN_PARAMETERS, module)) lintOwn(task);
  else lintAction(task);
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

/** Return whether a value, or a part of it, is known only in a run. */
function isOpen(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isTemplate(leaf) || leaf instanceof Vaulted;
    return leaf;
  });
  return found || (isDict(value) && Object.keys(value).some(isTemplate));
}

/** A text that is one template may become `omit`, or empty; with other text around it, it stays given. */
function mayBeOmitted(value: unknown): boolean {
  return typeof value !== "string" || /^\s*\{[{%].*[%}]\}\s*$/s.test(value) || value.includes("omit");
}

/** Free text that is one template may stand for all arguments. */
function isWhole(raw: unknown): boolean {
  return typeof raw === "string" && /^\s*\{\{.*\}\}\s*$/s.test(raw);
}

function lintAction(task: LintTask): void {
  const { unit, node } = task;
  const { modules } = unit.world;
  const [module, args] = actionCall(task);
  const action = modules.find(module);
  if (action === undefined) return;
  const place = placesOf(task);
  const { _raw_params: raw, ...given } = args;
  if (raw !== undefined && !FREE_FORM.has(node.module) && !isWhole(raw)) {
    addFreeText(task, raw);
    return;
  }
  lintPackage(task);
  const isPartial = raw !== undefined || node.argsFrom !== undefined || task.hasDefaults;
  for (const { kind, argument, message } of argumentFaults(action, given, {
    isOpen,
    mayBeOmitted,
    isPartial,
  }))
    unit.findings.add(RULE_OF[kind], "error", place(argument), message, hintOf(kind, node.module));
}

const RULE_OF = {
  unknown: "unknown-parameter",
  missing: "missing-parameter",
  value: "invalid-value",
  conflict: "parameter-conflict",
} as const;

const MANAGERS = ["apt", "dnf", "yum", "zypper", "pacman", "apk"];

/** `package` hands parameters on to the action of the host's package manager: one of them must know each. */
function lintPackage(task: LintTask): void {
  const { unit, node } = task;
  if (node.module !== "package") return;
  const known = new Set(
    MANAGERS.flatMap((name) => {
      const { params, aliases = {} } = unit.world.modules.find(name)?.description ?? {};
      return [...(params === undefined ? [] : parameterNames(params)), ...Object.keys(aliases)];
    }),
  );
  const place = placesOf(task);
  for (const name of Object.keys(node.args))
    if (name !== "use" && name !== "_raw_params" && !known.has(name))
      unit.findings.add(
        "unknown-parameter",
        "error",
        place(name),
        `no package manager has a parameter "${name}"${didYouMean(name, known)}`,
      );
}

function hintOf(kind: keyof typeof RULE_OF, module: string): string {
  return kind === "unknown" || kind === "missing"
    ? `\`volley doc ${module}\` lists the parameters`
    : `\`volley doc ${module}\` tells what goes`;
}

/** The action that a task calls, with its arguments; some modules are made of others. */
function actionCall({ node }: LintTask): readonly [string, Readonly<Record<string, unknown>>] {
  const { module, args } = node;
  if (module === "command" || module === "shell") {
    const { _raw_params: raw, _uses_shell: shell, warn: _warn, executable, ...rest } = args;
    const text = raw === undefined ? {} : { cmd: Array.isArray(raw) ? raw.map(String).join(" ") : raw };
    const isShell = module === "shell" || shell !== undefined;
    return [module, { ...rest, ...text, ...(isShell && executable !== undefined ? { executable } : {}) }];
  }
  if (module === "service" && SYSTEMD.some((name) => name in args)) {
    const { use: _use, pattern: _p, sleep: _s, arguments: _a, args: _b, runlevel: _r, ...rest } = args;
    return ["systemd", rest];
  }
  return [module, args];
}

function lintOwn(task: LintTask): void {
  const { unit, node, hasDefaults } = task;
  const { module, args } = node;
  const { known, required = [], isLax = false } = OWN_PARAMETERS[module]!;
  const place = placesOf(task);
  for (const name of Object.keys(args)) {
    if (known.includes(name) || isTemplate(name)) continue;
    if (name === "_raw_params") {
      if (!isWhole(args[name])) addFreeText(task, args[name]);
      continue;
    }
    const near = didYouMean(name, known);
    unit.findings.add(
      "unknown-parameter",
      isLax ? "warning" : "error",
      place(name),
      isLax
        ? `${module} has no parameter "${name}", and passes over it${near}`
        : `${module} has no parameter "${name}"${near}`,
      `it takes: ${known.filter((each) => each !== "_raw_params").join(", ")}`,
    );
  }
  // Free text that is one template may stand for all arguments.
  const isOne = !COMMANDS.has(module) && isWhole(args._raw_params);
  if (node.argsFrom !== undefined || hasDefaults || isOne) return;
  for (const names of required) {
    if (names.some((name) => args[name] !== undefined && args[name] !== null)) continue;
    const words = names.filter((name) => name !== "_raw_params").map((name) => `"${name}"`);
    unit.findings.add(
      "missing-parameter",
      "error",
      place(undefined),
      `${module} requires ${words.length === 0 ? "a command" : words.join(" or ")}`,
    );
  }
  if (module === "debug" && args.msg !== undefined && args.var !== undefined)
    unit.findings.add("parameter-conflict", "error", place("var"), 'debug takes either "msg" or "var"');
}

function addFreeText({ unit, node, at }: LintTask, text: unknown): void {
  unit.findings.add(
    "invalid-value",
    "error",
    at,
    `${node.module} takes no free text: ${JSON.stringify(text)}`,
    "write parameters as a mapping, or as name=value",
  );
}

function lintMeta(task: LintTask): void {
  const { unit, node, at } = task;
  const word = node.args._raw_params;
  if (typeof word !== "string" || holdsTemplate(word) || META_ACTIONS.includes(word.trim())) return;
  unit.findings.add(
    "invalid-value",
    "error",
    at,
    `meta has no action "${word}"${didYouMean(word, META_ACTIONS)}`,
    `it takes: ${META_ACTIONS.join(", ")}`,
  );
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
