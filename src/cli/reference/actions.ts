import * as v from "valibot";
import type { ActionDescription } from "../../actions/define.ts";
import { didYouMean, VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/values/value.ts";
import * as volley from "../../index.ts";

/** Every action that playbooks can import, by name, in alphabetical order. */
export const actions: ReadonlyMap<string, ActionDescription> = new Map(
  Object.values<unknown>(volley)
    .flatMap((exported) => (isAction(exported) ? [exported.description] : []))
    .map((description): [string, ActionDescription] => [description.name, description])
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);

function isAction(exported: unknown): exported is { readonly description: ActionDescription } {
  if (typeof exported !== "function") return false;
  const { description } = exported as { readonly description?: unknown };
  return isRecord(description) && typeof description.name === "string";
}

/** Find an action by name, also with Ansible's collection in front. Fails with `USAGE`. */
export function findAction(name: string): ActionDescription {
  const short = name.replace(/^ansible\.(?:builtin|posix)\./, "");
  const found = actions.get(short) ?? actions.get(short.replaceAll("-", "_"));
  if (found !== undefined) return found;
  throw new VolleyError("USAGE", `there is no action "${name}"${didYouMean(short, actions.keys())}`, {
    hint: "`volley doc` lists them",
  });
}

/** Return the first sentence of a documentation text. */
export function summaryOf(doc: string): string {
  const sentence = /^[\s\S]*?[.!?](?=\s|$)/.exec(doc)?.[0] ?? doc;
  return sentence.replaceAll(/\s+/g, " ").trim();
}

/** A parameter of an action, from its schema. */
export interface Parameter {
  readonly name: string;
  /** In TypeScript's words: `string | string[]`, `"present" | "absent"`. */
  readonly type: string;
  readonly required: boolean;
  /** As TypeScript; undefined when there is none. */
  readonly initial: string | undefined;
  /** Empty when the schema has none. */
  readonly description: string;
}

type Wrapper =
  | v.OptionalSchema<v.GenericSchema, unknown>
  | v.ExactOptionalSchema<v.GenericSchema, unknown>
  | v.NullishSchema<v.GenericSchema, unknown>
  | v.UndefinedableSchema<v.GenericSchema, unknown>;

/** The schemas whose insides are shown; any other schema is shown by its `expects`. */
type KnownSchema =
  | Wrapper
  | v.NullableSchema<v.GenericSchema, unknown>
  | v.ArraySchema<v.GenericSchema, undefined>
  | v.CustomSchema<unknown, undefined>
  | v.LiteralSchema<v.Literal, undefined>
  | v.LooseObjectSchema<v.ObjectEntries, undefined>
  | v.ObjectSchema<v.ObjectEntries, undefined>
  | v.PicklistSchema<v.PicklistOptions, undefined>
  | v.RecordSchema<v.GenericSchema<string>, v.GenericSchema, undefined>
  | v.StrictObjectSchema<v.ObjectEntries, undefined>
  | v.TupleSchema<v.TupleItems, undefined>
  | v.UnionSchema<v.UnionOptions, undefined>;

/** Return a schema's optional wrapper, or null when it has none. */
function wrapperOf(schema: v.GenericSchema): Wrapper | null {
  const known = schema as KnownSchema;
  switch (known.type) {
    case "optional":
    case "exact_optional":
    case "nullish":
    case "undefinedable":
      return known;
    default:
      return null;
  }
}

/** Write the type of a schema in TypeScript; a schema's `title` stands for its type. */
export function typeText(schema: v.GenericSchema): string {
  const title = v.getTitle(schema);
  if (title !== undefined) return title;
  const known = schema as KnownSchema;
  switch (known.type) {
    case "optional":
    case "exact_optional":
    case "undefinedable":
      return typeText(known.wrapped);
    case "nullish":
    case "nullable":
      return union([typeText(known.wrapped), "null"]);
    case "array":
      return `${inner(typeText(known.item))}[]`;
    case "custom":
      return "unknown";
    case "literal":
      return literal(known.literal);
    case "loose_object":
    case "object":
    case "strict_object":
      return objectType(known.entries);
    case "picklist":
      return union(known.options.map((option) => literal(option)));
    case "record":
      return `Record<${typeText(known.key)}, ${typeText(known.value)}>`;
    case "tuple":
      return `[${known.items.map(typeText).join(", ")}]`;
    case "union":
      return union(known.options.map(typeText));
    default:
      return schema.expects;
  }
}

function union(types: readonly string[]): string {
  return [...new Set(types)].join(" | ");
}

function inner(type: string): string {
  return / \| |=>/.test(type) ? `(${type})` : type;
}

function objectType(entries: v.ObjectEntries): string {
  const fields = Object.entries(entries).map(
    ([name, schema]) => `${name}${wrapperOf(schema) === null ? "" : "?"}: ${typeText(schema)}`,
  );
  return fields.length === 0 ? "{}" : `{ ${fields.join("; ")} }`;
}

function entriesOf(schema: v.GenericSchema): v.ObjectEntries {
  const known = schema as KnownSchema;
  return known.type === "strict_object" || known.type === "object" || known.type === "loose_object"
    ? known.entries
    : {};
}

/** List an action's parameters in the order of its schema. */
export function parametersOf(schema: v.GenericSchema): readonly Parameter[] {
  return Object.entries(entriesOf(schema)).map(([name, entry]): Parameter => {
    const wrapper = wrapperOf(entry);
    const initial: unknown = v.getDefault(entry);
    return {
      name,
      type: typeText(entry),
      required: wrapper === null,
      initial: initial === undefined ? undefined : literal(initial, name),
      description:
        v.getDescription(entry) ?? (wrapper === null ? undefined : v.getDescription(wrapper.wrapped)) ?? "",
    };
  });
}

/** List the constraints on an action's parameters together: the messages of the checks on the whole object. */
export function constraintsOf(schema: v.GenericSchema): readonly string[] {
  if (!("pipe" in schema)) return [];
  const { pipe } = schema as v.SchemaWithPipe<readonly [v.GenericSchema, ...v.GenericPipeItem[]]>;
  return pipe.flatMap((item) => {
    const { message } = item as { readonly message?: unknown };
    return item.kind === "validation" && typeof message === "string" ? [message] : [];
  });
}

const OCTAL_NAME = /(?:^|_)(?:mode|umask)$/;

function key(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

function quoted(text: string): string {
  const json = JSON.stringify(text);
  return text.includes('"') && !text.includes("'") ? `'${json.slice(1, -1).replaceAll('\\"', '"')}'` : json;
}

/** Write a value as TypeScript on one line; permission bits, known by the name of their field, in octal. */
export function literal(value: unknown, name = ""): string {
  if (typeof value === "number" && OCTAL_NAME.test(name)) return `0o${value.toString(8)}`;
  if (typeof value === "string") return quoted(value);
  if (typeof value === "function") return "() => …";
  if (Array.isArray(value)) return `[${value.map((item) => literal(item)).join(", ")}]`;
  if (!isRecord(value)) return String(value);
  const fields = fieldsOf(value).map(([field, item]) => `${key(field)}: ${literal(item, field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function fieldsOf(value: Readonly<Record<string, unknown>>): readonly (readonly [string, unknown])[] {
  return Object.entries(value).filter(([, item]) => item !== undefined);
}

function indent(lines: string): string {
  return lines.replaceAll(/^/gm, "  ");
}

/** Write a value as TypeScript, over several lines where one line would exceed `columns`. */
function layOut(value: unknown, columns: number, name = ""): string {
  const line = literal(value, name);
  if (line.length <= columns) return line;
  if (Array.isArray(value) && value.length > 0) {
    return `[\n${value.map((item) => `${indent(layOut(item, columns - 3))},\n`).join("")}]`;
  }
  if (!isRecord(value) || Array.isArray(value)) return line;
  const fields = fieldsOf(value).map(([field, item]) => {
    const start = `${key(field)}: `;
    return `${indent(`${start}${layOut(item, columns - start.length - 3, field)}`)},\n`;
  });
  return `{\n${fields.join("")}}`;
}

/** Write a call of an action as in a playbook. */
export function callText(name: string, params: unknown, columns: number): string {
  return `${name}(${layOut(params, columns - name.length - 2)})`;
}
