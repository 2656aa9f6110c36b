import type { TaskNode } from "../ansible/ir.ts";
import { isDict } from "../core/values/value.ts";
import { actionOf, argumentsCode, findAction } from "./arguments.ts";
import { arrow, type Code, call, list, object, quote } from "./code.ts";
import type { RoleConversion } from "./conversion.ts";
import { type Around, numberOption, optionsOf, withDefaults } from "./keywords.ts";
import { type LoopCode, namesItem, passCode } from "./loops.ts";
import type { RoleVars } from "./role-vars.ts";
import { conditionsCode, extraCode, plainText, type Scope, textCode, use, withResult } from "./scope.ts";
import { refuse, textsIn, valueCode } from "./values.ts";

// A task in parts: its name, the call of its action, and its options.

/** A task in parts, as `task` and `handler` take them. */
export interface TaskParts {
  readonly comments: readonly string[];
  readonly name: Code;
  readonly action: Code;
  readonly options: readonly (readonly [string, Code])[];
}

/** Write the name, the action and the options of a task, but not its loop and condition. */
export function taskParts(
  node: TaskNode,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
  loop: LoopCode | undefined,
): TaskParts {
  const { module, at } = node;
  const { vars } = conversion;
  checkOptions(node, around, loop);
  const given = withDefaults(around, module, node.args, at);
  const { code, usesItem, isPlain, comments } =
    module === "assert"
      ? assertCode(node, conversion, scope, loop)
      : actionCode(node, given, conversion, around, scope, loop);
  const parameters = loop !== undefined && usesItem ? loop.parameters : "()";
  const isLate = !isPlain || loop !== undefined;
  return {
    comments,
    name: nameCode(node, scope, vars),
    action: isLate ? arrow(parameters, code) : code,
    options: [
      ...(loop?.label === undefined ? [] : [["label", arrow(loop.labelParameters, loop.label)] as const]),
      ...notifyOption(around, node, conversion, scope),
      ...judgeOptions(node, scope, vars, loop),
      ...optionsOf(around, module, scope, vars, []),
      ...asyncOption(node, scope),
    ],
  };
}

/** Refuse keywords that differ from item to item, because options of a task are the same for all. */
function checkOptions({ keys, at }: TaskNode, around: Around, loop: LoopCode | undefined): void {
  if (loop === undefined) return;
  const { retries, delay } = keys;
  for (const [key, value] of Object.entries({ ...around.keys, retries, delay }))
    if (value !== undefined && namesItem(value, loop))
      refuse(at, `${key} names the loop's item, and an option of a task is the same for all items`);
}

function nameCode(node: TaskNode, scope: Scope, vars: RoleVars): Code {
  const name = oneLine(node.name ?? node.module) || node.module;
  if (!/\{[{%#]/.test(name)) return quote(name);
  const plain = plainText(name, scope, vars, []);
  if (plain?.type === "string") {
    plain.use?.();
    return plain.code;
  }
  return `${use(scope, "title")}(${quote(name)})`;
}

/** The call of an action. */
interface WrittenCall {
  readonly code: Code;
  readonly usesItem: boolean;
  /** True where it can be made before the task's turn. */
  readonly isPlain: boolean;
  readonly comments: readonly string[];
}

function actionCode(
  node: TaskNode,
  args: Readonly<Record<string, unknown>>,
  conversion: RoleConversion,
  around: Around,
  scope: Scope,
  loop: LoopCode | undefined,
): WrittenCall {
  const { module, at } = node;
  const { vars } = conversion;
  if (findAction(module) === undefined && !SPECIAL.has(module)) return missingAction(node, conversion);
  const used = actionOf(module, args, at);
  const extra = loop?.extra ?? [];
  const names = loop !== undefined && namesItem([args, around.environment], loop);
  const written = argumentsCode(used, at, (text) => plainText(text, scope, vars, extra));
  for (const parameter of written.left)
    conversion.note(at, `the action ${used.action} has no such parameter, which is left out: ${parameter}`);
  const comments = written.left.map((parameter) => `Left out, because the action lacks it: ${parameter}`);
  const action = conversion.importAction(used.action);
  const usesItem = names || (!written.isPlain && needsItem(used.action, loop));
  const made = written.isPlain
    ? call(action, written.code)
    : call(use(scope, "call"), action, written.code, ...(usesItem ? passCode(loop) : []));
  if (around.environment.length === 0) return { code: made, usesItem, isPlain: written.isPlain, comments };
  const environment =
    around.environment.length === 1 ? around.environment[0] : merged(around.environment, at);
  const code = call(
    use(scope, "inEnvironment"),
    made,
    valueCode(environment, at),
    ...(usesItem ? extraCode(extra) : []),
  );
  return { code, usesItem, isPlain: false, comments };
}

/** Modules that another action stands for. */
const SPECIAL = new Set(["raw", "systemd_service"]);

/** A task whose module nobody has fails when it is reached, as it does in YAML. */
function missingAction({ module, at }: TaskNode, conversion: RoleConversion): WrittenCall {
  const text = `there is no action for the module ${module} (${at})`;
  conversion.note(at, `there is no action for the module ${module}: the task fails where it is reached`);
  return {
    code: call(conversion.importAction("fail"), object([["msg", quote(text)]])),
    usesItem: false,
    isPlain: true,
    comments: [],
  };
}

/** A template may name the item itself. */
function needsItem(action: string, loop: LoopCode | undefined): boolean {
  return loop !== undefined && action === "template";
}

function merged(environments: readonly unknown[], at: string): unknown {
  if (!environments.every((each) => isDict(each) && !(each instanceof Map)))
    return refuse(at, "environment of several places is converted only where each is a dict");
  return Object.assign({}, ...environments) as unknown;
}

function assertCode(
  { args, at }: TaskNode,
  conversion: RoleConversion,
  scope: Scope,
  loop: LoopCode | undefined,
): WrittenCall {
  const { that, fail_msg: failed, msg, success_msg: success, quiet } = args;
  if (that === undefined) refuse(at, 'assert needs conditions: "that"');
  const usesItem = loop !== undefined && namesItem(args, loop);
  const conditions = [that].flat();
  const extra = usesItem ? passCode(loop) : [];
  const text = (name: string, value: unknown): readonly (readonly [string, Code])[] =>
    value === undefined
      ? []
      : [[name, textCode(String(value), scope, conversion.vars, usesItem ? loop.extra : [])]];
  const isOne = conditions.length === 1;
  const code = call(
    conversion.importAction("assert"),
    object([
      [
        "that",
        call(
          use(scope, "assertions"),
          isOne ? valueCode(conditions[0], at) : list(conditions.map((each) => valueCode(each, at))),
          ...extra,
        ),
      ],
      ...text("fail_msg", failed ?? msg),
      ...text("success_msg", success),
      ...(quiet === true || quiet === "yes" ? [["quiet", "true"] as const] : []),
    ]),
  );
  return { code, usesItem, isPlain: false, comments: [] };
}

function notifyOption(
  around: Around,
  node: TaskNode,
  conversion: RoleConversion,
  scope: Scope,
): readonly (readonly [string, Code])[] {
  const names = [around.keys.notify ?? []].flat(2).map(String);
  const codes = names.flatMap((name): Code[] => {
    const found = conversion.notified(name, node.at);
    if (found.length > 0) return found.map(quote);
    return [textCode(name, scope, conversion.vars, [])];
  });
  const unique = codes.filter((code, index) => typeof code !== "string" || codes.indexOf(code) === index);
  if (unique.length === 0) return [];
  return [["notify", unique.length === 1 ? unique[0]! : list(unique)]];
}

/** Write `changed_when`, `failed_when` and `until`, which read the task's own result. */
function judgeOptions(
  node: TaskNode,
  scope: Scope,
  vars: RoleVars,
  loop: LoopCode | undefined,
): readonly (readonly [string, Code])[] {
  const { keys, at, module } = node;
  const options: (readonly [string, Code])[] = [];
  const register = typeof keys.register === "string" ? keys.register : undefined;
  const judge = (key: string, name: string): void => {
    const rules = keys[key] as readonly unknown[] | undefined;
    if (rules === undefined) return;
    const only = rules.length === 1 ? rules[0] : undefined;
    const bool =
      typeof only === "boolean"
        ? only
        : typeof only === "string" && /^(?:true|false)$/i.test(only)
          ? /^t/i.test(only)
          : undefined;
    if (bool !== undefined && key !== "until") {
      options.push([name, String(bool)]);
      return;
    }
    if (loop !== undefined && namesItem(rules, loop))
      refuse(at, `${key} names the loop's item, which a rule in TypeScript does not get`);
    const isOwn =
      register !== undefined && textsIn(rules).some((text) => new RegExp(`\\b${register}\\b`).test(text));
    const isCommand = /^(?:command|shell|raw)$/.test(module);
    const seen = !isOwn
      ? scope
      : withResult(scope, register, { code: "result", isCommand, isStat: module === "stat", use: () => {} });
    const plain = conditionsCode(rules, seen, vars, [], at) ?? "true";
    const needs = isOwn && usesJinja(plain);
    const condition = needs
      ? conditionsCode(rules, scope, vars, [[register, `${use(scope, "registered")}(result)`]], at)!
      : plain;
    options.push([name, arrow(isOwn ? "(result)" : "()", condition)]);
  };
  judge("changed_when", "changedWhen");
  judge("failed_when", "failedWhen");
  judge("until", "until");
  for (const key of ["retries", "delay"])
    if (keys[key] !== undefined && keys[key] !== null)
      options.push([key, numberOption(keys[key], scope, [])]);
  return options;
}

/** True for conditions that are not all plain. */
function usesJinja(code: Code): boolean {
  if (typeof code === "string") return false;
  return code.kind === "call" || (code.kind === "all" && code.parts.some(usesJinja));
}

function asyncOption({ keys, at }: TaskNode, scope: Scope): readonly (readonly [string, Code])[] {
  const { async: seconds, poll } = keys;
  if (seconds === undefined || Number(seconds) === 0) return [];
  if (poll !== undefined && Number(poll) === 0)
    refuse(at, "a task that is left to itself (poll: 0) has no form in TypeScript");
  return [["timeout", numberOption(seconds, scope, [])]];
}

/** Write a name on one line. */
export function oneLine(text: string): string {
  return text.trim().replace(/\s+/g, " ");
}
