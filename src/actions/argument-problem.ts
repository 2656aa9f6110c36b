import { type BaseIssue, safeParse } from "valibot";
import { Float, isDict, numberText, writeJson } from "../core/values/value.ts";
import type { Action, ActionDescription } from "./define.ts";
import { parameterNames } from "./define.ts";

// Wrong arguments in the words of Ansible's argument specifications, which playbooks look for.

type Issue = BaseIssue<unknown>;

/** Return what Ansible says of arguments that an action's schema refuses; undefined for arguments that it takes. */
export function argumentProblem(
  { description }: Pick<Action<never, unknown>, "description">,
  args: Readonly<Record<string, unknown>>,
): string | undefined {
  const known = parameterNames(description.params);
  const unknown = Object.keys(args).filter((name) => !known.includes(name));
  const { issues = [] } = safeParse(
    description.params,
    Object.fromEntries(Object.entries(args).filter(([name]) => known.includes(name))),
  );
  // Ansible says one kind of problem alone, the first in this order.
  const all = issues as readonly Issue[];
  const exclusive = all.find((issue) => issue.path === undefined && /mutually exclusive/.test(issue.message));
  if (exclusive !== undefined) return exclusive.message;
  const missing = all.filter(isMissing).map(nameOf);
  if (missing.length > 0) return missingArguments(description.name, missing, args);
  const wrong = all.find((issue) => issue.path !== undefined);
  if (wrong !== undefined) return wrongValue(wrong);
  const combination = all.find((issue) => issue.path === undefined);
  if (combination !== undefined) return combination.message;
  return unknown.length === 0 ? undefined : unknownArguments(description, unknown);
}

const isMissing = ({ received, path }: Issue): boolean => path?.length === 1 && received === "undefined";
const nameOf = ({ path }: Issue): string => (path ?? []).map(({ key }) => String(key)).join(".");

/** The messages of actions that send files, where a required parameter is missing. */
const SENDERS: Readonly<Record<string, string>> = {
  assemble: "src and dest are required",
  template: "src and dest are required",
  unarchive: "src (or content) and dest are required",
};

function missingArguments(
  action: string,
  names: readonly string[],
  args: Readonly<Record<string, unknown>>,
): string {
  if (SENDERS[action] !== undefined) return SENDERS[action];
  if (action === "copy")
    return args.src === undefined && args.content === undefined
      ? "src (or content) is required"
      : "dest is required";
  return `missing required arguments: ${[...names].sort().join(", ")}`;
}

/** Modules that Ansible runs for other ones, and names so. */
const LEGACY: Readonly<Record<string, string>> = {
  assemble: "assemble",
  command: "command",
  copy: "copy",
  shell: "command",
  template: "copy",
  unarchive: "unarchive",
  uri: "uri",
};

function unknownArguments({ name, params, aliases }: ActionDescription, names: readonly string[]): string {
  const module = LEGACY[name] === undefined ? name : `ansible.legacy.${LEGACY[name]}`;
  const others = Object.keys(aliases).sort();
  const known =
    [...parameterNames(params)].sort().join(", ") + (others.length > 0 ? ` (${others.join(", ")})` : "");
  return `Unsupported parameters for (${module}) module: ${[...names].sort().join(", ")}. Supported parameters include: ${known}.`;
}

function wrongValue(issue: Issue): string {
  const { type, kind, expected, input, message } = issue;
  const name = nameOf(issue);
  if (type === "picklist") {
    const choices = (expected ?? "")
      .replace(/^\(|\)$/g, "")
      .replaceAll('"', "")
      .split(" | ")
      .sort();
    return `value of ${name} must be one of: ${choices.join(", ")}, got: ${pythonText(input)}`;
  }
  const wanted = kind === "schema" || type === "integer" ? WANTED[type] : undefined;
  if (wanted !== undefined) {
    const given = pythonType(input);
    return `argument '${name}' is of type ${given} and we were unable to convert to ${wanted(given, pythonText(input))}`;
  }
  if (/(?:^|_)mode$/.test(name)) return `${name} must be in octal or symbolic form: ${message}`;
  const why = /^Invalid (?:type|value): /.test(message) ? `must be ${expected}` : message;
  return why.includes(name) && !why.startsWith("must ") ? why : `${name} ${why}: ${pythonText(input)}`;
}

/** The name in Python of a schema's type, and the reason why a value is not converted to it. */
const WANTED: Readonly<Record<string, (given: string, value: string) => string>> = {
  boolean: (_given, value) =>
    `bool: The value '${value}' is not a valid boolean.  Valid booleans include: 0, 1, '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'`,
  integer: (given) => `int: ${given} cannot be converted to an int`,
  number: (given) => `int: ${given} cannot be converted to an int`,
  array: (given) => `list: ${given} cannot be converted to a list`,
  record: dict,
  strict_object: dict,
  loose_object: dict,
};

function dict(given: string): string {
  return given === "<class 'str'>"
    ? "dict: dictionary requested, could not parse JSON or key=value"
    : `dict: ${given} cannot be converted to a dict`;
}

function pythonType(value: unknown): string {
  const name =
    typeof value === "string"
      ? "str"
      : typeof value === "boolean"
        ? "bool"
        : Array.isArray(value)
          ? "list"
          : isDict(value)
            ? "dict"
            : value instanceof Float || (typeof value === "number" && !Number.isInteger(value))
              ? "float"
              : "int";
  return `<class '${name}'>`;
}

function pythonText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float)
    return numberText(value);
  return writeJson(value, { separators: [", ", ": "] }).replaceAll('"', "'");
}
