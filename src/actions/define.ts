import { type BaseIssue, type GenericSchema, type InferInput, type InferOutput, safeParse } from "valibot";
import type { ActionCall, ActionContext, Applied, Change, Unchanged } from "../core/action.ts";
import { didYouMean, VolleyError } from "../core/errors.ts";
import type { ReadSystem, System } from "../core/system.ts";
import { isRecord } from "../core/values/value.ts";

/** The definition of one idempotent operation. */
export interface ActionDefinition<S extends GenericSchema, C extends Change, D, X = never> {
  readonly name: string;
  /** Markdown; the first sentence is the summary. */
  readonly doc: string;
  /** A valibot `strictObject` whose entries carry descriptions. */
  readonly params: S;
  readonly examples?: readonly InferInput<S>[];
  /** Other names of parameters that Ansible's playbooks may use, with the parameters they stand for: `{ dest: "path" }`. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Turn an input that is no object of parameters into one, for short calls such as `command("ls -l")`. */
  readonly shorthand?: (input: X) => InferInput<S>;
  /** The text shown beside the action's name, such as a path. */
  readonly title?: (params: InferOutput<S>) => string;
  /** Compare the system with the parameters; null when nothing is to be done. May only read. */
  inspect(
    params: InferOutput<S>,
    system: ReadSystem,
    context: ActionContext,
  ): Promise<C | Unchanged<D> | null>;
  /** Carry the Change out; the only place that writes. An action that only reads has none. */
  apply?(
    change: C,
    params: InferOutput<S>,
    system: System,
    context: ActionContext,
    // biome-ignore lint/suspicious/noConfusingVoidType: an apply without a result returns nothing
  ): Promise<Applied<D> | void>;
  /** Finish the action after `apply` restarted the host and the host is back; see {@link ActionCall.afterRestart}. */
  afterRestart?(
    params: InferOutput<S>,
    system: System,
    context: ActionContext,
    elapsedMs: number,
    // biome-ignore lint/suspicious/noConfusingVoidType: as apply
  ): Promise<Applied<D> | void>;
}

/** The part of an action that documentation and tests read. */
export interface ActionDescription {
  readonly name: string;
  readonly doc: string;
  readonly params: GenericSchema;
  readonly examples: readonly unknown[];
  readonly aliases: Readonly<Record<string, string>>;
}

/** A function from parameters to the call that a task declares. Throws `PARAMS_INVALID` for wrong parameters. */
export interface Action<I, D> {
  (params: I): ActionCall<D>;
  readonly description: ActionDescription;
}

/** Make an action of its definition. */
export function defineAction<S extends GenericSchema, C extends Change, D = undefined, X = never>(
  definition: ActionDefinition<S, C, D, X>,
): Action<InferInput<S> | X, D> {
  const { name, doc, params: schema, examples = [], aliases = {} } = definition;
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
  return Object.assign(action, { description: { name, doc, params: schema, examples, aliases } });
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

/** Say on one line what is wrong with a value, and replace valibot's standard messages by plain ones. */
export function explain({ message, expected, received }: BaseIssue<unknown>): string {
  const words =
    expected !== null && /^Invalid (?:type|value): /.test(message)
      ? `must be ${expected.replace(/^\((.*)\)$/s, "$1").replaceAll(" | ", ", ")}, not ${received}`
      : message;
  return words.replace(/[\n\r]/g, (end) => (end === "\n" ? "\\n" : "\\r"));
}

/** List the parameters of an object schema, also of one within a pipe; empty for other schemas. */
export function parameterNames(schema: GenericSchema): readonly string[] {
  const entries = (schema as { readonly entries?: Record<string, unknown> }).entries;
  return entries === undefined ? [] : Object.keys(entries);
}
