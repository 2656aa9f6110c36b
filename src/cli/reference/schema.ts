import * as v from "valibot";
import { literal } from "./literal.ts";

/** One parameter of an action, as its schema tells it. */
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

/** The schemas whose insides are shown; any other is shown as what it says it expects. */
type KnownSchema =
  | Wrapper
  | v.NullableSchema<v.GenericSchema, unknown>
  | v.ArraySchema<v.GenericSchema, undefined>
  | v.CustomSchema<unknown, undefined>
  | v.LiteralSchema<v.Literal, undefined>
  | v.ObjectSchema<v.ObjectEntries, undefined>
  | v.PicklistSchema<v.PicklistOptions, undefined>
  | v.RecordSchema<v.GenericSchema<string>, v.GenericSchema, undefined>
  | v.StrictObjectSchema<v.ObjectEntries, undefined>
  | v.TupleSchema<v.TupleItems, undefined>
  | v.UnionSchema<v.UnionOptions, undefined>;

/** A schema's optional wrapper, or null when it has none. */
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

/** What a schema takes, as a TypeScript type; a `title` in it is taken for its type. */
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
  return known.type === "strict_object" || known.type === "object" ? known.entries : {};
}

/** An action's parameters in the order its schema declares them. */
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

/** What an action says of its parameters together: the messages of the checks on the whole of them. */
export function constraintsOf(schema: v.GenericSchema): readonly string[] {
  if (!("pipe" in schema)) return [];
  const { pipe } = schema as v.SchemaWithPipe<readonly [v.GenericSchema, ...v.GenericPipeItem[]]>;
  return pipe.flatMap((item) => {
    const { message } = item as { readonly message?: unknown };
    return item.kind === "validation" && typeof message === "string" ? [message] : [];
  });
}
