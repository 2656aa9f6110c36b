import { type GenericSchema, safeParse } from "valibot";
import { coerceArguments } from "../actions/coerce.ts";
import type { ActionDescription } from "../actions/define.ts";
import { didYouMean } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import * as volley from "../index.ts";
import { type Code, keyText, object } from "./code.ts";
import type { PlainValue } from "./conditions.ts";
import { isTemplated, refuse, valueCode } from "./values.ts";

// Modules and their arguments as calls of actions.

/** An action with the arguments of a task. */
export interface ActionUse {
  readonly action: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A schema as far as types are read from it. */
interface Shape {
  readonly type: string;
  readonly wrapped?: Shape;
  readonly pipe?: readonly Shape[];
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly options?: readonly Shape[];
}

type AnyAction = ((params: never) => unknown) & { readonly description: ActionDescription };

/** Find the action of a module. */
export function findAction(name: string): AnyAction | undefined {
  const found = (volley as Readonly<Record<string, unknown>>)[name];
  return typeof found === "function" && "description" in found ? (found as unknown as AnyAction) : undefined;
}

/** The names of all actions. */
export const actionNames: ReadonlySet<string> = new Set(
  Object.keys(volley).filter((name) => findAction(name) !== undefined),
);

/** Arguments of services that systemd alone knows. */
const SYSTEMD = ["daemon-reload", "daemon_reload", "masked", "scope", "no_block", "daemon_reexec"];

/** Return the action that a module stands for, with its arguments under the action's names. */
export function actionOf(module: string, args: Readonly<Record<string, unknown>>, at: string): ActionUse {
  const { _raw_params: raw, ...named } = args;
  switch (module) {
    case "command":
    case "shell":
    case "raw":
      return commandOf(module, raw, named, at);
    case "service": {
      const { use: _use, ...rest } = named;
      return { action: SYSTEMD.some((name) => name in named) ? "systemd" : "service", args: rest };
    }
    case "systemd_service":
      return { action: "systemd", args: named };
    case "debug":
      return { action: "debug", args: debugOf(named) };
    default:
      if (raw !== undefined)
        refuse(at, `the arguments of ${module} come from ${String(raw)}`, "write them out: name: value");
      return { action: module, args: named };
  }
}

function commandOf(
  module: string,
  raw: unknown,
  { warn: _warn, _uses_shell: usesShell, ...named }: Record<string, unknown>,
  at: string,
): ActionUse {
  const args = raw === undefined ? named : { cmd: raw, ...named };
  if (args.cmd !== undefined && typeof args.cmd !== "string" && typeof args.cmd !== "number")
    refuse(at, `the command line of ${module} is no text`);
  if (module !== "command" || usesShell === true || usesShell === "yes") return { action: "shell", args };
  const { executable: _executable, ...rest } = args;
  // Ansible's module has variables of the environment replaced.
  const isExpanded = "expand_argument_vars" in rest || !/[$~]|\{[{%#]/.test(JSON.stringify(rest));
  return { action: "command", args: isExpanded ? rest : { ...rest, expand_argument_vars: true } };
}

function debugOf({ var: name, ...rest }: Record<string, unknown>): Record<string, unknown> {
  if (typeof name !== "string") return rest;
  const isPath = /^[\w.[\]'"]+$/.test(name);
  return isPath
    ? { ...rest, var: name }
    : { ...rest, msg: `{{ ${name.replace(/^\{\{|\}\}$/g, "").trim()} }}` };
}

/** Code of a text that may be plain, with its type. */
export type PlainText = (text: string) => PlainValue | undefined;

/**
 * Write the arguments of an action. `isPlain`: they have their types, and the action can be called with them. `left` are
 * parameters that the action lacks and the role may omit. Fails with `PLAYBOOK_INVALID` for another parameter that the
 * action lacks, and for a wrong one.
 */
export function argumentsCode(
  { action, args }: ActionUse,
  at: string,
  plain: PlainText,
): { readonly code: Code; readonly isPlain: boolean; readonly left: readonly string[] } {
  const { description } = findAction(action)!;
  const shape = description.params as unknown as Shape;
  const entries = shape.entries ?? shape.pipe?.[0]?.entries ?? {};
  // Parameters that it does not know by name are for another action.
  const isOpen = shape.type === "loose_object";
  const codes: [string, Code][] = [];
  const literal: Record<string, unknown> = {};
  let isPlain = true;
  // Template and debug see the vars of the scope.
  if (action === "template" || action === "debug") isPlain = false;
  const plainCodes = new Map<string, string>();
  const uses: (() => void)[] = [];
  const left: string[] = [];
  for (const [key, value] of Object.entries(args)) {
    const name = Object.hasOwn(description.aliases, key) ? description.aliases[key]! : key;
    if (name !== key && Object.hasOwn(args, name)) continue;
    const isKnown = isOpen || Object.hasOwn(entries, name);
    if (!isKnown && typeof value === "string" && /\bomit\b/.test(value)) {
      left.push(`${key}: ${value}`);
      continue;
    }
    if (!isKnown)
      refuse(at, `the action ${action} has no parameter "${key}"${didYouMean(key, Object.keys(entries))}`);
    if (!isTemplated(value)) {
      const coerced = coerceArguments({ description } as never, { [key]: value });
      for (const [own, each] of Object.entries(coerced)) {
        literal[own] = each;
        codes.push([keyText(own), literalCode(own, each, at)]);
      }
      continue;
    }
    const found = typeof value === "string" ? plain(value) : undefined;
    const code = found === undefined ? undefined : fitting(entries[name], name, found);
    if (code === undefined) isPlain = false;
    else {
      plainCodes.set(keyText(name), code);
      if (found?.use !== undefined) uses.push(found.use);
    }
    codes.push([keyText(name), valueCode(value, at)]);
  }
  if (!Object.values(args).some(isTemplated)) checkLiteral(action, description, literal, at);
  if (isPlain) for (const use of uses) use();
  const made = isPlain
    ? codes.map(([key, code]): [string, Code] => [key, plainCodes.get(key) ?? code])
    : codes;
  return { code: object(made), isPlain, left };
}

/** Permission bits stand as TypeScript writes them. */
function literalCode(name: string, value: unknown, at: string): Code {
  return /(?:^|_)mode$/.test(name) && typeof value === "string" && /^0o[0-7]+$/.test(value)
    ? `0o${value.slice(2).padStart(3, "0")}`
    : valueCode(value, at);
}

function checkLiteral(
  action: string,
  { params }: ActionDescription,
  args: Readonly<Record<string, unknown>>,
  at: string,
): void {
  const { issues } = safeParse(params as GenericSchema, args);
  const [issue] = issues ?? [];
  if (issue === undefined) return;
  const path = (issue.path ?? []).map(({ key }) => String(key)).join(".");
  refuse(at, `${action}${path === "" ? "" : `: parameter "${path}"`}: ${issue.message}`);
}

/** Return plain code in the type of a parameter; undefined where it does not fit. */
function fitting(shape: Shape | undefined, name: string, { code, type }: PlainValue): string | undefined {
  if (shape === undefined) return code;
  if (/(?:^|_)mode$/.test(name)) return type === "string" ? code : undefined;
  const types = typesOf(shape);
  if (types.has(type)) return code;
  return type === "number" && types.has("string") ? `String(${code})` : undefined;
}

function typesOf(shape: Shape): ReadonlySet<string> {
  const inner = shape.wrapped;
  if (inner !== undefined) return typesOf(inner);
  if (shape.type === "union")
    return new Set((shape.options ?? []).filter(isRecord).flatMap((option) => [...typesOf(option)]));
  return new Set([shape.type]);
}
