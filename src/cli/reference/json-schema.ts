import * as v from "valibot";

/** The parts of valibot's schemas that JSON Schema has words for. */
interface AnySchema {
  readonly type: string;
  readonly wrapped?: AnySchema;
  readonly item?: AnySchema;
  readonly items?: readonly AnySchema[];
  readonly entries?: Readonly<Record<string, AnySchema>>;
  /** Values of a picklist or an enum, or the schemas of a union. */
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
  readonly value?: AnySchema;
  readonly pipe?: readonly PipeItem[];
}

interface PipeItem {
  readonly kind: string;
  readonly type: string;
  readonly requirement?: unknown;
}

type Json = Readonly<Record<string, unknown>>;

/** Turn a schema of valibot into a JSON Schema, draft 7. Rules that JSON Schema has no word for are left out. */
export function jsonSchemaOf(given: v.GenericSchema): Json {
  const description = v.getDescription(given);
  const standard: unknown = v.getDefault(given);
  const isJson = ["string", "number", "boolean"].includes(typeof standard) || Array.isArray(standard);
  return {
    ...(description === undefined ? {} : { description }),
    ...shapeOf(given as unknown as AnySchema),
    ...(isJson ? { default: standard } : {}),
  };
}

const jsonOf = (schema: AnySchema): Json => jsonSchemaOf(schema as unknown as v.GenericSchema);

/** The parameters that an object of valibot has, each as a JSON Schema; none for another schema. */
export function propertiesOf(schema: v.GenericSchema): Readonly<Record<string, Json>> {
  const { entries = {} } = schema as unknown as AnySchema;
  return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, jsonOf(entry)]));
}

function shapeOf(schema: AnySchema): Json {
  const { pipe } = schema;
  if (pipe !== undefined) return Object.assign({}, plainShape(schema), ...pipe.map(restriction));
  return plainShape(schema);
}

function plainShape(schema: AnySchema): Json {
  const { type, wrapped, item, items, entries, options = [], literal, value } = schema;
  switch (type) {
    case "string":
    case "number":
    case "boolean":
    case "null":
      return { type };
    case "literal":
      return { const: literal };
    case "picklist":
    case "enum":
      return { enum: options };
    case "array":
      return { type: "array", items: jsonOf(item!) };
    case "tuple":
      return { type: "array", items: items!.map(jsonOf), minItems: items!.length };
    case "record":
      return { type: "object", additionalProperties: jsonOf(value!) };
    case "object":
    case "loose_object":
    case "strict_object": {
      const required = Object.entries(entries!).flatMap(([name, { type: kind }]) =>
        /^(?:optional|exact_optional|nullish|undefinedable)$/.test(kind) ? [] : [name],
      );
      return {
        type: "object",
        properties: Object.fromEntries(Object.entries(entries!).map(([name, each]) => [name, jsonOf(each)])),
        ...(required.length === 0 ? {} : { required }),
        ...(type === "strict_object" ? { additionalProperties: false } : {}),
      };
    }
    case "union":
    case "variant":
      return { anyOf: (options as readonly AnySchema[]).map(jsonOf) };
    case "optional":
    case "exact_optional":
    case "undefinedable":
    case "non_optional":
      return jsonOf(wrapped!);
    case "nullish":
    case "nullable":
      return { anyOf: [jsonOf(wrapped!), { type: "null" }] };
    default:
      return {};
  }
}

/** Return the rule of an item of a pipe, where JSON Schema can say it. */
function restriction({ kind, type, requirement }: PipeItem): Json {
  if (kind !== "validation") return {};
  switch (type) {
    case "integer":
      return { type: "integer" };
    case "min_value":
      return typeof requirement === "number" ? { minimum: requirement } : {};
    case "max_value":
      return typeof requirement === "number" ? { maximum: requirement } : {};
    case "regex":
      return requirement instanceof RegExp && requirement.flags === "" ? { pattern: requirement.source } : {};
    default:
      return {};
  }
}
