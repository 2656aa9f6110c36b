import { readBool } from "../../actions/coerce.ts";
import { isDict, isRecord, numeric } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { PlaybookFiles } from "../files.ts";
import type { RoleInstance } from "../frame.ts";
import type { TaskNode } from "../ir.ts";
import { textOf } from "../templar.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Arguments of roles, checked by the role's argument_specs.

type Spec = Readonly<Record<string, unknown>>;

function specOf(value: unknown): Spec {
  return isDict(value)
    ? value instanceof Map
      ? Object.fromEntries([...value].map(([key, item]) => [String(key), item]))
      : value
    : {};
}

function listOf(value: unknown): readonly unknown[] {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}

/** Return the task that checks a role's vars by its argument_specs; undefined where the role has none for its entry point. */
export function validationTask(role: RoleInstance, at: string, files: PlaybookFiles): TaskNode | undefined {
  const entry = role.use.from.tasks?.replace(/\.ya?ml$/, "") ?? "main";
  const { name, path, argumentSpecs } = role.node;
  const spec = argumentSpecs[entry];
  if (!isRecord(spec)) return undefined;
  const { short_description: about, options = {} } = spec;
  return {
    kind: "task",
    at,
    name: `Validating arguments against arg spec '${entry}'${typeof about === "string" ? ` - ${about}` : ""}`,
    module: "validate_argument_spec",
    args: {
      argument_spec: options,
      provided_arguments: {},
      validate_args_context: { argument_spec_name: entry, name, path: files.fullPath(path), type: "role" },
    },
    keys: { tags: ["always"] },
  };
}

/** `validate_argument_spec`: fails with every fault of the arguments. */
export function validateArgumentSpec({ args, templar }: RenderedCall): ModuleEnd {
  const options = specOf(args.argument_spec);
  const provided = specOf(args.provided_arguments);
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(provided, name)) given[name] = provided[name];
    else if (name in templar.vars) given[name] = templar.value(templar.vars[name]);
  }
  const errors = faultsOf(options, given, "");
  const context = specOf(args.validate_args_context);
  if (errors.length > 0)
    return {
      register: {
        changed: false,
        failed: true,
        msg: `Validation of arguments failed:\n${errors.join("\n")}`,
        argument_spec_data: options,
        argument_errors: errors,
        validate_args_context: context,
      },
    };
  return {
    register: {
      changed: false,
      failed: false,
      msg: "The arg spec validation passed",
      validate_args_context: context,
    },
  };
}

function within(path: string): string {
  return path === "" ? "" : ` found in ${path}`;
}

function faultsOf(options: Spec, given: Vars, path: string): readonly string[] {
  const missing = Object.entries(options)
    .filter(
      ([name, spec]) =>
        readBool(specOf(spec).required) === true && (given[name] === undefined || given[name] === null),
    )
    .map(([name]) => name)
    .sort();
  const errors: string[] =
    missing.length === 0 ? [] : [`missing required arguments: ${missing.join(", ")}${within(path)}`];
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    errors.push(...faultsOfOption(name, specOf(options[name]), value, path));
  }
  return errors;
}

function faultsOfOption(name: string, spec: Spec, value: unknown, path: string): readonly string[] {
  const type = typeof spec.type === "string" ? spec.type : "str";
  const problem = faultOfType(type, value);
  if (problem !== undefined)
    return [
      `argument '${name}' is of type ${typeName(value)}${within(path)} and we were unable to convert to ${type}: ${problem}`,
    ];
  const choices = listOf(spec.choices);
  const errors: string[] = [];
  if (choices.length > 0) {
    for (const each of type === "list" ? itemsOf(value) : [value])
      if (
        !choices.some(
          (choice) =>
            textOf(choice) === textOf(each) ||
            (readBool(choice) !== undefined && readBool(choice) === readBool(each)),
        )
      )
        errors.push(
          `value of ${name} must be one ${type === "list" ? "or more of" : "of"}: ${choices.map(textOf).join(", ")}, got: ${textOf(each)}${within(path)}`,
        );
  }
  const inner = specOf(spec.options);
  const below = path === "" ? name : `${path} -> ${name}`;
  if (type === "list") {
    const elements = typeof spec.elements === "string" ? spec.elements : undefined;
    for (const each of itemsOf(value)) {
      const wrong = elements === undefined ? undefined : faultOfType(elements, each);
      if (wrong !== undefined)
        errors.push(
          `Elements value for option '${name}'${within(path)} is of type ${typeName(each)} and we were unable to convert to ${elements}: ${wrong}`,
        );
      else if (elements === "dict" && Object.keys(inner).length > 0)
        errors.push(...faultsOfDict(inner, each, below));
    }
  } else if (type === "dict" && Object.keys(inner).length > 0)
    errors.push(...faultsOfDict(inner, value, below));
  return errors;
}

function faultsOfDict(options: Spec, value: unknown, path: string): readonly string[] {
  const given = specOf(value);
  const unknown = Object.keys(given)
    .filter((name) => !Object.hasOwn(options, name))
    .sort();
  const known = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(options, name)));
  return [
    ...faultsOf(options, known, path),
    ...(unknown.length === 0
      ? []
      : [
          `${unknown.map((name) => `${path.replaceAll(" -> ", ".")}.${name}`).join(", ")}. Supported parameters include: ${Object.keys(options).sort().join(", ")}.`,
        ]),
  ];
}

function itemsOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return typeof value === "string" ? value.split(",").map((each) => each.trim()) : [value];
}

function faultOfType(type: string, value: unknown): string | undefined {
  const number = numeric(value);
  const isNumber = number !== undefined && typeof value !== "boolean";
  switch (type) {
    case "int":
      return (isNumber && Number.isInteger(Number(number))) ||
        (typeof value === "string" && /^\s*[+-]?\d+\s*$/.test(value))
        ? undefined
        : `${typeName(value)} cannot be converted to an int`;
    case "float":
      return isNumber || (typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value)))
        ? undefined
        : `${typeName(value)} cannot be converted to a float`;
    case "bool":
      return readBool(value) === undefined
        ? `The value '${textOf(value)}' is not a valid boolean.  Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'`
        : undefined;
    case "list":
      return Array.isArray(value) || typeof value === "string" || isNumber
        ? undefined
        : `${typeName(value)} cannot be converted to a list`;
    case "dict":
      return isDict(value) || (typeof value === "string" && (/^\s*\{/.test(value) || value.includes("=")))
        ? undefined
        : typeof value === "string"
          ? "dictionary requested, could not parse JSON or key=value"
          : `${typeName(value)} cannot be converted to a dict`;
    default:
      return undefined;
  }
}

/** A value's type as Python names it. */
function typeName(value: unknown): string {
  const name =
    typeof value === "boolean"
      ? "bool"
      : Array.isArray(value)
        ? "list"
        : isDict(value)
          ? "dict"
          : numeric(value) === undefined
            ? "str"
            : Number.isInteger(value)
              ? "int"
              : "float";
  return `<class '${name}'>`;
}
