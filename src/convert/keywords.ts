import type { Keys } from "../ansible/ir.ts";
import { CONTROLLER, PLACELESS } from "../ansible/keywords.ts";
import { isDict } from "../core/values/value.ts";
import { type Code, call, list, object, quote } from "./code.ts";
import type { RoleVars } from "./role-vars.ts";
import { type Extra, extraCode, flagCode, type Scope, textCode, use } from "./scope.ts";
import { refuse } from "./values.ts";

// Keywords of tasks, and those that tasks inherit from the blocks around them, as options of `task`.

/** The keywords that the statements around a task give it. */
export interface Around {
  readonly keys: Keys;
  readonly tags: readonly string[];
  readonly environment: readonly unknown[];
  readonly moduleDefaults: readonly unknown[];
}

/** Nothing is around. */
export const NOTHING_AROUND: Around = { keys: {}, tags: [], environment: [], moduleDefaults: [] };

/** Keywords that blocks give to their tasks. */
const INHERITED = new Set([
  "become",
  "become_user",
  "check_mode",
  "delegate_to",
  "ignore_errors",
  "no_log",
  "notify",
  "run_once",
  "timeout",
]);

/** Keywords that change nothing of a task's result, or that another part of the converter reads. */
const READ = new Set(
  `any_errors_fatal async become_exe become_flags become_method block changed_when collections delay delegate_facts diff
  environment failed_when ignore_unreachable listen loop loop_control module_defaults name poll register retries tags
  throttle until vars when`.split(/\s+/),
);

/** Return what is around the tasks within a statement. */
export function enter(around: Around, keys: Keys, at: string): Around {
  checkKeywords(keys, at);
  const own = Object.fromEntries(
    Object.entries(keys).filter(([key, value]) => INHERITED.has(key) && value !== null),
  );
  const of = (key: string): readonly unknown[] =>
    keys[key] === undefined || keys[key] === null ? [] : [keys[key]].flat();
  return {
    keys: { ...around.keys, ...own },
    tags: [...new Set([...around.tags, ...of("tags").map(String)])],
    environment: [...around.environment, ...of("environment")],
    moduleDefaults: [...around.moduleDefaults, ...of("module_defaults")],
  };
}

/** Refuse keywords that a role in TypeScript has no word for. */
function checkKeywords(keys: Keys, at: string): void {
  for (const [key, value] of Object.entries(keys)) {
    if (INHERITED.has(key) || READ.has(key) || key.startsWith("with_") || value === null) continue;
    refuse(at, `a role in TypeScript has no word for "${key}: ${String(value)}"`);
  }
}

/** Return whether tasks are done elsewhere. Modules that work on vars alone do the same in every place. */
export function isElsewhere({ keys }: Around, module: string): boolean {
  const to = keys.delegate_to;
  return to !== undefined && !PLACELESS.has(module) && !/^\{\{\s*inventory_hostname\s*\}\}$/.test(String(to));
}

/** Write the machine that tasks are delegated to. */
function placeCode(to: unknown, scope: Scope, vars: RoleVars, extra: Extra): Code {
  if (CONTROLLER.has(String(to))) return quote("controller");
  const text = String(to);
  // Without a name the task is the host's.
  return /\bomit\b/.test(text)
    ? call(use(scope, "place"), quote(text), ...extraCode(extra))
    : textCode(text, scope, vars, extra);
}

/** Write the options that all tasks within a call of a function inherit; empty where there are none. */
export function inheritedOptions(
  around: Around,
  scope: Scope,
  vars: RoleVars,
  at: string,
): readonly (readonly [string, Code])[] {
  if (around.environment.length > 0) refuse(at, "environment around an include is not converted");
  if (around.moduleDefaults.length > 0) refuse(at, "module_defaults around an include is not converted");
  return optionsOf(around, "", scope, vars, []);
}

/** Write the options that come from inherited keywords. */
export function optionsOf(
  { keys, tags }: Around,
  module: string,
  scope: Scope,
  vars: RoleVars,
  extra: Extra,
): readonly (readonly [string, Code])[] {
  const options: (readonly [string, Code])[] = [];
  const flag = (key: string, name: string, usual: boolean): void => {
    if (keys[key] === undefined) return;
    const code = flagCode(keys[key], scope, vars, extra);
    if (code !== String(usual)) options.push([name, code]);
  };
  if (tags.length > 0) options.push(["tags", tags.length === 1 ? quote(tags[0]!) : list(tags.map(quote))]);
  const become = keys.become === undefined ? undefined : flagCode(keys.become, scope, vars, extra);
  if (keys.become_user !== undefined && become !== "false")
    options.push(["become", textCode(String(keys.become_user), scope, vars, extra)]);
  else if (become !== undefined) options.push(["become", become]);
  if (keys.check_mode !== undefined) options.push(["check", flagCode(keys.check_mode, scope, vars, extra)]);
  flag("ignore_errors", "ignoreErrors", false);
  flag("no_log", "noLog", false);
  if (!PLACELESS.has(module)) flag("run_once", "runOnce", false);
  if (isElsewhere({ keys, tags } as Around, module))
    options.push(["delegateTo", placeCode(keys.delegate_to, scope, vars, extra)]);
  if (keys.timeout !== undefined && Number(keys.timeout) !== 0)
    options.push(["timeout", numberOption(keys.timeout, scope, extra)]);
  return options;
}

/** Write a number of YAML, which may be a template. */
export function numberOption(value: unknown, scope: Scope, extra: Extra): Code {
  const number = Number(value);
  if (!Number.isNaN(number)) return String(number);
  const more = extra.length === 0 ? [] : [object(extra)];
  return { kind: "call", callee: use(scope, "number"), args: [quote(String(value)), ...more] };
}

/** Return a task's arguments over the `module_defaults` around it. */
export function withDefaults(
  { moduleDefaults }: Around,
  module: string,
  args: Readonly<Record<string, unknown>>,
  at: string,
): Readonly<Record<string, unknown>> {
  const made: Record<string, unknown> = {};
  for (const defaults of moduleDefaults) {
    if (!isDict(defaults) || defaults instanceof Map) refuse(at, "module_defaults is no dict of modules");
    for (const [name, values] of Object.entries(defaults)) {
      if (name.startsWith("group/")) refuse(at, `module_defaults of ${name} is not converted`);
      if (name.replace(/^.*\./, "") === module && isDict(values) && !(values instanceof Map))
        Object.assign(made, values);
    }
  }
  return { ...made, ...args };
}
