import { fail } from "../errors.ts";
import { asNumber, type Callable, callable, str, truth, typeName, Undefined } from "../values.ts";
import { pathFilters, urlFilters } from "./address.ts";
import { functionalFilters, mappingFilters, sequenceFilters } from "./collection.ts";
import { dataFilters, hashFilters } from "./data.ts";
import { dateFilters } from "./date.ts";
import { numberFilters } from "./number.ts";
import { regexFilters, textFilters } from "./text.ts";

function fallback(value: unknown, otherwise: unknown = "", ifFalse: unknown = false): unknown {
  return value instanceof Undefined || (truth(ifFalse) && !truth(value)) ? otherwise : value;
}

function ternary(value: unknown, whenTrue: unknown, whenFalse: unknown, whenNone: unknown = null): unknown {
  if (value === null && whenNone !== null) return whenNone;
  return truth(value) ? whenTrue : whenFalse;
}

/** Convert as Ansible's `bool` does: yes, on, 1 and true are true, anything else is false. */
function bool(value: unknown): boolean | null {
  if (value === null || typeof value === "boolean") return value;
  return typeof value === "string"
    ? ["yes", "on", "1", "true"].includes(value.toLowerCase())
    : asNumber(value) === 1;
}

/** Filters of any value: defaults, choices and types. */
const generalFilters: Readonly<Record<string, Callable>> = {
  default: callable(["value", "default_value", "boolean"], fallback),
  d: callable(["value", "default_value", "boolean"], fallback),
  mandatory: callable(["value", "msg"], (value: unknown, message: unknown = null) => {
    if (!(value instanceof Undefined)) return value;
    return fail(
      message === null
        ? `Mandatory variable ${/^'[^']*'(?= is undefined$)/.exec(value.message)?.[0] ?? ""}  not defined.`
        : str(message),
    );
  }),
  ternary: callable(["value", "true_val", "false_val", "none_val"], ternary),
  bool: callable(["value"], bool),
  type_debug: callable(["value"], (value: unknown) =>
    value instanceof Undefined ? "AnsibleUndefined" : typeName(value),
  ),
};

/** Every filter, by the name templates use. */
export const filters: Readonly<Record<string, Callable>> = {
  ...textFilters,
  ...sequenceFilters,
  ...functionalFilters,
  ...mappingFilters,
  ...numberFilters,
  ...dataFilters,
  ...regexFilters,
  ...hashFilters,
  ...pathFilters,
  ...generalFilters,
  ...dateFilters,
  ...urlFilters,
};
