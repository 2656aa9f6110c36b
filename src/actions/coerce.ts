import { type GenericSchema, safeParse } from "valibot";
import { Float, isDict, numberText, numeric, writeJson } from "../core/values/value.ts";
import { plain } from "../core/values/vars.ts";
import type { Action } from "./define.ts";

// Arguments as Ansible's playbooks write them, made into what an action's schema wants: texts of bools and numbers,
// comma-separated lists, aliases.

/** A schema as far as types are read from it. */
interface Shape {
  readonly type: string;
  readonly wrapped?: Shape;
  readonly pipe?: readonly Shape[];
  readonly item?: Shape;
  readonly value?: Shape;
  readonly entries?: Readonly<Record<string, Shape>>;
  readonly options?: readonly unknown[];
}

const TRUE = new Set(["yes", "on", "true", "t", "y", "1"]);
const FALSE = new Set(["no", "off", "false", "f", "n", "0"]);

/** Return the bool that Ansible takes a value for; undefined for none. */
export function readBool(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  const number = numeric(value);
  if (number !== undefined) return Number(number) === 1 ? true : Number(number) === 0 ? false : undefined;
  if (typeof value !== "string") return undefined;
  const word = value.toLowerCase().trim();
  return TRUE.has(word) ? true : FALSE.has(word) ? false : undefined;
}

type Described = Pick<Action<never, unknown>, "description">;

/** Return the schemas of an action's parameters, by name. */
export function parametersOf({ description: { params } }: Described): NonNullable<Shape["entries"]> {
  return (params as unknown as Shape).entries ?? (params as unknown as Shape).pipe?.[0]?.entries ?? {};
}

/** Give arguments the types of an action's parameters, and to aliases their parameter's name. */
export function coerceArguments(
  action: Described,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { aliases } = action.description;
  const entries = parametersOf(action);
  const args: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    const alias = Object.hasOwn(aliases, key) ? aliases[key]! : key;
    // A parameter wins over its alias, as in Ansible.
    if (alias !== key && Object.hasOwn(given, alias)) continue;
    // A parameter without a value is one that is not given.
    if (value === null || value === undefined) continue;
    const shape = entries[alias];
    // An empty text is how playbooks leave a parameter out.
    if (value === "" && shape !== undefined && cannotBeEmpty(shape)) continue;
    args[alias] =
      shape === undefined
        ? plain(value)
        : /(?:^|_)mode$/.test(alias)
          ? fileMode(shape, value)
          : coerce(shape, value);
  }
  return args;
}

/** A file's mode: a number is the permission bits themselves, as YAML has `0644` for 420, also where it looks like octal digits. */
function fileMode(shape: Shape, value: unknown): unknown {
  const mode = coerce(shape, value);
  return typeof mode === "number" && Number.isInteger(mode) && mode >= 0 ? `0o${mode.toString(8)}` : mode;
}

/** True for an optional text, or number, that has no empty value. */
function cannotBeEmpty(shape: Shape): boolean {
  return shape.wrapped !== undefined && !safeParse(shape as unknown as GenericSchema, "").success;
}

/** Return a value with the type that a schema wants, where it can be read as one; else the value as it is. */
function coerce(shape: Shape, value: unknown): unknown {
  switch (shape.type) {
    case "optional":
    case "nullish":
    case "nullable":
    case "exact_optional":
    case "undefinedable":
      return coerce(shape.wrapped!, value);
    case "boolean":
      return readBool(value) ?? plain(value);
    case "number":
      return readNumber(value) ?? plain(value);
    case "string":
      return textOf(value);
    case "picklist":
    case "literal":
      return pickFrom(shape.options ?? [(shape as { readonly literal?: unknown }).literal], value);
    case "array":
      return listOf(value).map((item) => coerce(shape.item!, item));
    case "record":
      return recordOf(value, () => shape.value!);
    case "strict_object":
    case "object":
    case "loose_object":
      return recordOf(value, (key) => shape.entries?.[key]);
    case "union":
      return coerceUnion(shape, value);
    default:
      return shape.pipe?.[0] !== undefined && shape.pipe[0] !== shape && shape.pipe[0].type !== shape.type
        ? coerce(shape.pipe[0], value)
        : plain(value);
  }
}

/** A word of a choice; YAML takes some words, `on` and `no`, for bools. */
function pickFrom(options: readonly unknown[], value: unknown): unknown {
  const text = textOf(value);
  if (options.includes(text)) return text;
  const number = readNumber(value);
  if (number !== undefined && options.includes(number)) return number;
  const bool = readBool(value);
  if (bool === undefined) return text;
  if (options.includes(bool)) return bool;
  return options.find((option) => typeof option === "string" && readBool(option) === bool) ?? text;
}

function coerceUnion({ options = [] }: Shape, value: unknown): unknown {
  const shapes = options as readonly Shape[];
  const ofType = (...types: readonly string[]): Shape | undefined =>
    shapes.find((shape) => types.includes(baseType(shape)));
  const array = ofType("array");
  const record = ofType("record", "strict_object", "object", "loose_object");
  if (Array.isArray(value)) return array === undefined ? value.map(plain) : coerce(array, value);
  if (isDict(value))
    return record === undefined ? (ofType("string") ? textOf(value) : plain(value)) : coerce(record, value);
  // A text with commas stands for a list, wherever a list can stand.
  if (
    array !== undefined &&
    typeof value === "string" &&
    (ofType("string") === undefined || isTextList(array))
  )
    return coerce(array, value);
  if (typeof value === "string") {
    if (ofType("string") !== undefined) return value;
    for (const shape of shapes) {
      const made = coerce(shape, value);
      if (safeParse(shape as unknown as GenericSchema, made).success) return made;
    }
    return value;
  }
  for (const shape of shapes) {
    if (safeParse(shape as unknown as GenericSchema, plain(value)).success) return plain(value);
  }
  const text = ofType("string", "picklist");
  return text === undefined
    ? shapes[0] === undefined
      ? plain(value)
      : coerce(shapes[0], value)
    : coerce(text, value);
}

/** True for a list of texts or numbers; a list of anything stands for data, and a text beside it for itself. */
function isTextList(shape: Shape): boolean {
  const item = (shape.wrapped ?? shape).item ?? shape.pipe?.[0]?.item;
  return item !== undefined && !["unknown", "any"].includes(baseType(item));
}

function baseType(shape: Shape): string {
  return shape.wrapped === undefined ? shape.type : baseType(shape.wrapped);
}

function readNumber(value: unknown): number | undefined {
  const number = value instanceof Float || typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number") return number;
  if (typeof value !== "string" || !/^\s*[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i.test(value))
    return undefined;
  return Number(value.replaceAll("_", ""));
}

/** The text Python makes of a value; of a list or a dict, its JSON. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float)
    return numberText(value);
  return writeJson(value, { separators: [", ", ": "] });
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "string") return value === "" ? [] : value.split(",").map((item) => item.trim());
  return [value];
}

function recordOf(value: unknown, shapeOf: (key: string) => Shape | undefined): unknown {
  const dict = typeof value === "string" ? readKeyValues(value) : value;
  if (!isDict(dict)) return plain(value);
  const entries = dict instanceof Map ? [...dict] : Object.entries(dict);
  return Object.fromEntries(
    entries.map(([key, item]) => {
      const shape = shapeOf(String(key));
      return [String(key), shape === undefined || item === null ? plain(item) : coerce(shape, item)];
    }),
  );
}

/** Read the dict that a text stands for: JSON, or `key=value` pairs with commas between. */
function readKeyValues(text: string): unknown {
  if (/^\s*\{/.test(text)) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return text;
    }
  }
  const pairs = text.split(/,(?=\s*[\w-]+=)/).map((pair) => /^\s*([\w-]+)=(.*)$/s.exec(pair));
  if (text === "" || pairs.includes(null)) return text;
  return Object.fromEntries(
    pairs.map((pair) => [pair![1]!, pair![2]!.trim().replace(/^(["'])(.*)\1$/s, "$2")]),
  );
}
