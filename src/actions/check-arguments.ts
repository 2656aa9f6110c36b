import { type BaseIssue, type GenericSchema, safeParse } from "valibot";
import { didYouMean } from "../core/errors.ts";
import { coerceArguments } from "./coerce.ts";
import { type Action, explain, parameterNames } from "./define.ts";

// Arguments of a task looked at before a run, where some are templates whose values only the run knows.

/** Something wrong with a task's arguments. */
export interface ArgumentFault {
  readonly kind: "unknown" | "missing" | "value" | "conflict";
  /** The argument as the task names it; undefined for faults of several together. */
  readonly argument?: string;
  readonly message: string;
}

/** The knowledge of the arguments before a run. */
export interface KnownArguments {
  /** Return whether the value is known only in a run. */
  isOpen(value: unknown): boolean;
  /** Return whether the value may turn out to be left out. */
  mayBeOmitted(value: unknown): boolean;
  /** True where more arguments may come from elsewhere, such as `module_defaults`. */
  readonly isPartial: boolean;
}

/** A schema as far as its values are made up from it. */
interface Shape {
  readonly type: string;
  readonly wrapped?: Shape;
  readonly item?: Shape;
  readonly options?: readonly unknown[];
  readonly literal?: unknown;
}

/** Find what is wrong with arguments whatever their open values will be. */
export function argumentFaults(
  action: Pick<Action<never, unknown>, "description">,
  given: Readonly<Record<string, unknown>>,
  known: KnownArguments,
): readonly ArgumentFault[] {
  const { name, params: schema, aliases } = action.description;
  const { entries = {} } = schema as { readonly entries?: Readonly<Record<string, GenericSchema>> };
  const names = parameterNames(schema);
  if (names.length === 0) return [];
  const faults: ArgumentFault[] = [];
  const open: { readonly parameter: string; readonly value: unknown }[] = [];
  const values: Record<string, unknown> = {};
  for (const [argument, value] of Object.entries(given)) {
    const parameter = Object.hasOwn(aliases, argument) ? aliases[argument]! : argument;
    const entry = entries[parameter];
    if (entry === undefined) {
      // Such a module hands what it does not know on to another one.
      if ((schema as unknown as Shape).type === "loose_object") continue;
      const near = didYouMean(argument, [...names, ...Object.keys(aliases)]);
      faults.push({
        kind: "unknown",
        argument,
        message: `${name} has no parameter "${argument}"${near}`,
      });
      continue;
    }
    if (known.isOpen(value)) {
      open.push({ parameter, value });
      continue;
    }
    const made = coerceArguments(action, { [argument]: value });
    if (!Object.hasOwn(made, parameter)) continue;
    values[parameter] = made[parameter];
    const parsed = safeParse(entry, made[parameter]);
    if (parsed.success) continue;
    for (const issue of parsed.issues) {
      const path = [argument, ...(issue.path ?? []).map(({ key }) => String(key))].join(".");
      const what = issue.received === "undefined" ? "is required" : explain(issue);
      faults.push({ kind: "value", argument, message: `parameter "${path}": ${what}` });
    }
  }
  if (known.isPartial) return faults;
  for (const [parameter, entry] of Object.entries(entries)) {
    const isGiven = Object.hasOwn(values, parameter) || open.some((each) => each.parameter === parameter);
    if (isGiven || safeParse(entry, undefined).success) continue;
    faults.push({ kind: "missing", message: `${name} requires the parameter "${parameter}"` });
  }
  // Rules about several parameters speak only of such as are right by themselves.
  if (faults.length > 0) return faults;
  for (const message of conflicts(schema, values, openSamples(entries, open, known)))
    faults.push({ kind: "conflict", message });
  return faults;
}

/** Sample values of the open parameters; undefined where nothing fits one of them. */
function openSamples(
  entries: Readonly<Record<string, GenericSchema>>,
  open: readonly { readonly parameter: string; readonly value: unknown }[],
  known: KnownArguments,
): ReadonlyMap<string, readonly unknown[]> | undefined {
  const samples = new Map<string, readonly unknown[]>();
  for (const { parameter, value } of open) {
    const schema = entries[parameter]!;
    const fitting = samplesOf(schema as unknown as Shape).filter((each) => safeParse(schema, each).success);
    // With other text around its templates a value is a text, and not empty.
    const isText = !known.mayBeOmitted(value);
    const some = isText ? fitting.filter((each) => typeof each === "string" && each !== "") : fitting;
    if (some.length === 0) return undefined;
    // A required parameter that is left out is a fault by itself.
    const isOptional = !isText && safeParse(schema, undefined).success;
    samples.set(parameter, isOptional ? [undefined, ...some] : some);
  }
  return samples;
}

/** More combinations of open values than these are not tried. */
const MAX_COMBINATIONS = 10_000;

/** Return the complaints that hold for every combination of the open values. */
function conflicts(
  schema: GenericSchema,
  values: Readonly<Record<string, unknown>>,
  samples: ReadonlyMap<string, readonly unknown[]> | undefined,
): readonly string[] {
  if (samples === undefined) return [];
  let combinations: readonly Readonly<Record<string, unknown>>[] = [values];
  for (const [parameter, each] of samples) {
    if (combinations.length * each.length > MAX_COMBINATIONS) return [];
    combinations = combinations.flatMap((some) =>
      each.map((value) => (value === undefined ? some : { ...some, [parameter]: value })),
    );
  }
  let always: readonly string[] | undefined;
  for (const some of combinations) {
    const parsed = safeParse(schema, some);
    if (parsed.success) return [];
    const said = parsed.issues.map(complaint);
    always = always === undefined ? said : always.filter((each) => said.includes(each));
    if (always.length === 0) return [];
  }
  return [...new Set(always)];
}

function complaint(issue: BaseIssue<unknown>): string {
  const path = (issue.path ?? []).map(({ key }) => String(key)).join(".");
  return path === "" ? explain(issue) : `parameter "${path}": ${explain(issue)}`;
}

/** Make up values of every kind that a schema takes. */
function samplesOf(shape: Shape): readonly unknown[] {
  if (shape.wrapped !== undefined) return samplesOf(shape.wrapped);
  switch (shape.type) {
    case "boolean":
      return [true, false];
    case "number":
      return [1, 0, 1000];
    case "picklist":
      return shape.options ?? [];
    case "literal":
      return [shape.literal];
    case "string":
      return ["/a/b", "word", "1", ""];
    case "array":
      return [samplesOf(shape.item!).slice(0, 1), []];
    case "union":
    case "variant":
      return ((shape.options ?? []) as readonly Shape[]).flatMap(samplesOf);
    case "record":
      return [{ word: "word" }, {}];
    case "unknown":
    case "any":
      return ["word", ["word"], { word: "word" }];
    default:
      return [];
  }
}
