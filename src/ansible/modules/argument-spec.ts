import { readBool } from "../../actions/coerce.ts";
import { isDict, isRecord, numeric } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { varScope } from "../../vars/scope.ts";
import type { PlaybookFiles } from "../files.ts";
import { type RoleInstance, shortName } from "../frame.ts";
import type { RoleNode, RoleUseNode, TaskNode } from "../ir.ts";
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

/** Return the name of the task that checks a role's vars by its argument_specs, with the entry point and what is said of it there; undefined where nothing is. */
export function validationOf(
  use: RoleUseNode,
  { argumentSpecs }: RoleNode,
): { readonly name: string; readonly entry: string; readonly spec: Vars } | undefined {
  const entry = use.from.tasks?.replace(/\.ya?ml$/, "") ?? "main";
  const spec = argumentSpecs[entry];
  if (!isRecord(spec)) return undefined;
  const { short_description: about } = spec;
  const name = `Validating arguments against arg spec '${entry}'${typeof about === "string" ? ` - ${about}` : ""}`;
  return { name, entry, spec };
}

/** Return the task that checks a role's vars by its argument_specs; undefined where the role has none for its entry point. */
export function validationTask(role: RoleInstance, at: string, files: PlaybookFiles): TaskNode | undefined {
  const found = validationOf(role.use, role.node);
  if (found === undefined) return undefined;
  const { path } = role.node;
  const { name, entry, spec } = found;
  const { options = {} } = spec;
  return {
    kind: "task",
    at,
    name,
    module: "validate_argument_spec",
    args: {
      argument_spec: options,
      provided_arguments: {},
      validate_args_context: {
        argument_spec_name: entry,
        name: shortName(role.node),
        path: files.fullPath(path),
        type: "role",
      },
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
    else if (name in templar.vars) given[name] = templar.vars[name];
  }
  const { vars } = templar;
  const errors = faultsOf(options, given, "", (name) => {
    const type = Object.hasOwn(provided, name) ? "AnsibleUnicode" : varScope(vars).textType(name);
    return (value) => typeName(value, CLASSES[type] ?? "str");
  });
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

/** Names the type of a value as Python does; texts of YAML have one of their own. */
type NameType = (value: unknown) => string;

/** As Ansible does: what is missing, then wrong types, then choices, then the options of options. */
function faultsOf(
  options: Spec,
  given: Vars,
  path: string,
  typeOf: (name: string) => NameType,
): readonly string[] {
  const missing = Object.entries(options)
    .filter(
      ([name, spec]) =>
        readBool(specOf(spec).required) === true && (given[name] === undefined || given[name] === null),
    )
    .map(([name]) => name)
    .sort();
  const values = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  const hasOptions = ({ type, options: inner }: Spec): boolean =>
    /^(?:dict|list)$/.test(String(type)) && Object.keys(specOf(inner)).length > 0;
  // Ansible looks into texts for options before it looks at their types.
  const errors: string[] = values.flatMap(([name, value]) => {
    const fault =
      typeof value === "string" && specOf(options[name]).type === "dict" && hasOptions(specOf(options[name]))
        ? faultOfType("dict", value, typeOf(name))
        : undefined;
    return fault === undefined ? [] : [fault];
  });
  if (missing.length > 0) errors.push(`missing required arguments: ${missing.join(", ")}${within(path)}`);
  const typed = values.map(([name, value]) => {
    const faults = typeFaults(name, specOf(options[name]), value, path, typeOf(name));
    errors.push(...faults);
    return [name, value, faults.length === 0] as const;
  });
  for (const [name, value, fits] of typed)
    if (fits) errors.push(...choiceFaults(name, specOf(options[name]), value, path));
  for (const [name, value] of values) {
    const { type, options: inner } = specOf(options[name]);
    if (!hasOptions(specOf(options[name]))) continue;
    const dicts = type === "list" ? itemsOf(value) : [value];
    if (dicts.some((each) => faultOfType("dict", each, typeOf(name)) !== undefined))
      errors.push(`value of '${name}' must be of type dict or list of dicts`);
    else
      for (const each of dicts)
        errors.push(
          ...faultsOfDict(specOf(inner), each, path === "" ? name : `${path} -> ${name}`, typeOf(name)),
        );
  }
  return errors;
}

function typeFaults(
  name: string,
  { type: wanted, elements }: Spec,
  value: unknown,
  path: string,
  typeOf: NameType,
): readonly string[] {
  const found = path === "" ? "" : ` found in '${path}'.`;
  const type = typeof wanted === "string" ? wanted : "str";
  const problem = faultOfType(type, value, typeOf);
  if (problem !== undefined)
    return [
      `argument '${name}' is of type ${typeOf(value)}${found} and we were unable to convert to ${type}: ${problem}`,
    ];
  if (type !== "list" || typeof elements !== "string") return [];
  return itemsOf(value).flatMap((each) => {
    const wrong = faultOfType(elements, each, typeOf);
    return wrong === undefined
      ? []
      : `Elements value for option '${name}'${found} is of type ${typeOf(each)} and we were unable to convert to ${elements}: ${wrong}`;
  });
}

function choiceFaults(
  name: string,
  { type, choices }: Spec,
  value: unknown,
  path: string,
): readonly string[] {
  const allowed = listOf(choices);
  if (allowed.length === 0) return [];
  const isList = type === "list";
  return (isList ? itemsOf(value) : [value])
    .filter(
      (each) =>
        !allowed.some(
          (choice) =>
            textOf(choice) === textOf(each) ||
            (readBool(choice) !== undefined && readBool(choice) === readBool(each)),
        ),
    )
    .map(
      (each) =>
        `value of ${name} must be one ${isList ? "or more of" : "of"}: ${allowed.map(textOf).join(", ")}, got: ${textOf(each)}${within(path)}`,
    );
}

function faultsOfDict(options: Spec, value: unknown, path: string, typeOf: NameType): readonly string[] {
  const given = specOf(value);
  const unknown = Object.keys(given)
    .filter((name) => !Object.hasOwn(options, name))
    .sort();
  const known = Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(options, name)));
  return [
    ...faultsOf(options, known, path, () => typeOf),
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

function faultOfType(type: string, value: unknown, typeOf: NameType): string | undefined {
  const number = numeric(value);
  const isNumber = number !== undefined && typeof value !== "boolean";
  switch (type) {
    case "int":
      return (isNumber && typeof value !== "object" && Number.isInteger(Number(number))) ||
        (typeof value === "string" && /^\s*[+-]?\d+\s*$/.test(value))
        ? undefined
        : `${typeOf(value)} cannot be converted to an int`;
    case "float":
      return isNumber || (typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value)))
        ? undefined
        : `${typeOf(value)} cannot be converted to a float`;
    case "bool":
      return readBool(value) === undefined
        ? `The value '${textOf(value)}' is not a valid boolean.  Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'`
        : undefined;
    case "bytes":
    case "bits":
      return isNumber ||
        (typeof value === "string" && /^\s*\d+(?:\.\d*)?\s*(?:[YZEPTGMK]?[a-z]*)?\s*$/i.test(value))
        ? undefined
        : `${typeOf(value)} cannot be converted to a ${type === "bits" ? "Bit" : "Byte"} value`;
    case "list":
      return Array.isArray(value) || typeof value === "string" || isNumber
        ? undefined
        : `${typeOf(value)} cannot be converted to a list`;
    case "dict":
      return isDict(value) || (typeof value === "string" && (/^\s*\{/.test(value) || value.includes("=")))
        ? undefined
        : typeof value === "string"
          ? "dictionary requested, could not parse JSON or key=value"
          : `${typeOf(value)} cannot be converted to a dict`;
    default:
      return undefined;
  }
}

/** The full names of Ansible's own types of text. */
const CLASSES: Readonly<Record<string, string>> = {
  AnsibleUnicode: "ansible.parsing.yaml.objects.AnsibleUnicode",
  AnsibleUnsafeText: "ansible.utils.unsafe_proxy.AnsibleUnsafeText",
};

/** A value's type as Python names it; `text` is that of texts. */
function typeName(value: unknown, text: string): string {
  const name =
    typeof value === "boolean"
      ? "bool"
      : Array.isArray(value)
        ? "list"
        : isDict(value)
          ? "dict"
          : numeric(value) === undefined
            ? text
            : Number.isInteger(value)
              ? "int"
              : "float";
  return `<class '${name}'>`;
}
