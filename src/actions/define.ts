import { type BaseIssue, type GenericSchema, type InferInput, type InferOutput, safeParse } from "valibot";

import type { ActionCall, ActionContext, Applied, Change, Unchanged } from "../core/action.ts";
import { didYouMean, VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";

import type { ReadSystem, System } from "../core/system.ts";

/** One idempotent operation: what {@link defineAction} takes. */
export interface ActionDefinition<S extends GenericSchema, C extends Change, D, X = never> {
  readonly name: string;
  /** Markdown; the first sentence is the summary. */
  readonly doc: string;
  /** A valibot `strictObject` whose entries carry descriptions. */
  readonly params: S;
  readonly examples?: readonly InferInput<S>[];
  /** A shorter way to call it, `command("ls -l")`: turns whatever is not an object of parameters into one. */
  readonly shorthand?: (input: X) => InferInput<S>;
  /** What of its parameters is shown beside its name, such as the path. */
  readonly title?: (params: InferOutput<S>) => string;
  /** Finds out what is needed: a Change, or null when nothing is. May only read. */
  inspect(
    params: InferOutput<S>,
    system: ReadSystem,
    context: ActionContext,
  ): Promise<C | Unchanged<D> | null>;
  /** Makes it so; the only place that writes. An action that only asks has none. */
  apply?(
    change: C,
    params: InferOutput<S>,
    system: System,
    context: ActionContext,
    // biome-ignore lint/suspicious/noConfusingVoidType: an apply with nothing to tell returns nothing
  ): Promise<Applied<D> | void>;
  /** What is left to do once the host is back that `apply` restarted; see {@link ActionCall.afterRestart}. */
  afterRestart?(
    params: InferOutput<S>,
    system: System,
    context: ActionContext,
    elapsedMs: number,
    // biome-ignore lint/suspicious/noConfusingVoidType: as apply
  ): Promise<Applied<D> | void>;
}

/** What documentation and tests need of an action. */
export interface ActionDescription {
  readonly name: string;
  readonly doc: string;
  readonly params: GenericSchema;
  readonly examples: readonly unknown[];
}

/** An action: called with its parameters it gives a call to be declared as a task. Wrong parameters throw `PARAMS_INVALID`. */
export interface Action<I, D> {
  (params: I): ActionCall<D>;
  readonly description: ActionDescription;
}

/** Defines an action from its parameters, its `inspect` and its `apply`. */
export function defineAction<S extends GenericSchema, C extends Change, D = undefined, X = never>(
  definition: ActionDefinition<S, C, D, X>,
): Action<InferInput<S> | X, D> {
  const { name, doc, params: schema, examples = [] } = definition;
  const action = (input: InferInput<S> | X): ActionCall<D> => {
    const { shorthand } = definition;
    const full = shorthand === undefined || isRecord(input) ? input : shorthand(input as X);
    const params = parseParams(name, schema, full);
    const { afterRestart } = definition;
    return {
      action: name,
      params: params as Readonly<Record<string, unknown>>,
      title: definition.title?.(params) ?? "",
      inspect: (system, context) => definition.inspect(params, system, context),
      apply: async (change, system, context) => definition.apply?.(change as C, params, system, context),
      ...(afterRestart === undefined
        ? {}
        : {
            afterRestart: (system: System, context: ActionContext, elapsedMs: number) =>
              afterRestart(params, system, context, elapsedMs),
          }),
    };
  };
  return Object.assign(action, { description: { name, doc, params: schema, examples } });
}

function parseParams<S extends GenericSchema>(name: string, schema: S, input: unknown): InferOutput<S> {
  const parsed = safeParse(schema, input);
  if (parsed.success) return parsed.output;
  const known = parameterNames(schema);
  const given = typeof input === "object" && input !== null ? Object.keys(input) : [];
  const unknown = given.filter((key) => known.length > 0 && !known.includes(key));
  const problems =
    unknown.length > 0
      ? unknown.map((key) => `unknown parameter "${key}"${didYouMean(key, known)}`)
      : parsed.issues.map((issue) => {
          const path = issue.path?.map((item) => String(item.key)).join(".");
          if (path !== undefined && issue.received === "undefined") return `parameter "${path}" is required`;
          return path === undefined ? explain(issue) : `parameter "${path}": ${explain(issue)}`;
        });
  throw new VolleyError("PARAMS_INVALID", `${name}: ${[...new Set(problems)].join("; ")}`, {
    ...(known.length > 0 ? { hint: `${name} takes: ${known.join(", ")}` } : {}),
  });
}

/** What is wrong with a value, on one line whatever it holds, in words where valibot has only its own. */
function explain({ message, expected, received }: BaseIssue<unknown>): string {
  const words =
    expected !== null && /^Invalid (?:type|value): /.test(message)
      ? `must be ${expected.replace(/^\((.*)\)$/s, "$1").replaceAll(" | ", ", ")}, not ${received}`
      : message;
  return words.replace(/[\n\r]/g, (end) => (end === "\n" ? "\\n" : "\\r"));
}

/** The names of an object schema's parameters, also when it is wrapped in a pipe; empty when it is no object. */
export function parameterNames(schema: GenericSchema): readonly string[] {
  const entries = (schema as { readonly entries?: Record<string, unknown> }).entries;
  return entries === undefined ? [] : Object.keys(entries);
}
