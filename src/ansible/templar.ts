import { readBool } from "../actions/coerce.ts";
import { isVolleyError, messageOf, VolleyError } from "../core/errors.ts";
import { numberText, numeric, writeJson } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import type { Templates } from "../template/index.ts";
import { createScope, extendScope, isTemplate, type RenderVar, type VarLayer } from "../vars/scope.ts";

// Values of playbooks, rendered.

/** Renders the texts of playbooks with the vars of a task. */
export interface Templar {
  readonly vars: Vars;
  /** Render a value of any depth. */
  value(value: unknown): unknown;
  /** Render a value of any depth, keys included. */
  withKeys(value: unknown): unknown;
  /** Render a keyword's value, and read it as a bool. Fails with `PARAMS_INVALID` where it is none. */
  bool(value: unknown, key: string): boolean;
  /** Render a keyword's value, and read it as a number. Fails with `PARAMS_INVALID` where it is none. */
  number(value: unknown, key: string): number;
  /** Render, and read as a text. */
  text(value: unknown): string;
  /** Evaluate a condition as `when` has it. Fails with `TEMPLATE_FAILED`. `isWritten` is false for what a template gave. */
  condition(condition: unknown, isWritten?: boolean): boolean;
  /** Evaluate an expression that a template gave: it looks nothing up. */
  evaluate(expression: string): unknown;
  /** Return the items that a lookup finds. */
  lookup(name: string, terms: unknown, options?: Readonly<Record<string, unknown>>): readonly unknown[];
  /** The same templar with more vars on top. */
  with(vars: Vars): Templar;
}

/** Make a templar for layers of vars. It warns of conditions that are templates themselves. */
export function createTemplar(
  templates: Templates,
  layers: readonly VarLayer[],
  warn: (text: string) => void = () => {},
): Templar {
  const render: RenderVar = (text, scope, origin) => templates.renderValue(text, scope, origin);
  return templarOf(templates, createScope(layers, render), render, warn);
}

function templarOf(
  templates: Templates,
  vars: Vars,
  render: RenderVar,
  warn: (text: string) => void,
): Templar {
  const value = (given: unknown): unknown => templates.renderArguments(given, vars);
  return {
    vars,
    value,
    withKeys: (given) => templates.renderArguments(given, vars, { keys: true }),
    bool: (given, key) => boolOf(value(given), key),
    number: (given, key) => numberOf(value(given), key),
    text: (given) => textOr(value(given)),
    condition: (given, isWritten = true) => {
      if (isWritten && typeof given === "string" && isTemplate(given))
        warn(
          `conditional statements should not include jinja2 templating delimiters such as {{ }} or {% %}. Found: ${given}`,
        );
      try {
        return templates.condition(given, vars, isWritten);
      } catch (thrown) {
        if (!isVolleyError(thrown) || thrown.message.startsWith("The conditional check")) throw thrown;
        throw new VolleyError(
          "TEMPLATE_FAILED",
          `The conditional check '${String(given)}' failed. The error was: ${plainMessage(thrown)}`,
          {
            cause: thrown,
          },
        );
      }
    },
    evaluate: (expression) => templates.evaluate(expression, vars, false),
    lookup: (name, terms, options) => templates.runLookup(name, terms, vars, options),
    with: (more) => templarOf(templates, extendScope(vars, more), render, warn),
  };
}

// Values that are rendered must not be rendered again: they may be texts of a host.

/** Read a keyword's rendered value as a bool. Fails with `PARAMS_INVALID` where it is none. */
export function boolOf(value: unknown, key: string): boolean {
  const why = `The error was: The value '${textOr(value)}' is not a valid boolean.`;
  return readBool(value) ?? refuse(key, value, "bool", why);
}

/** Read a keyword's rendered value as a number. Fails with `PARAMS_INVALID` where it is none. */
export function numberOf(value: unknown, key: string): number {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  return Number.isNaN(number) ? refuse(key, value, "int") : number;
}

/** The text of a rendered value; of none an empty one. */
export function textOr(value: unknown): string {
  return value === null || value === undefined ? "" : textOf(value);
}

/** Fail in Ansible's words. */
function refuse(key: string, value: unknown, wanted: string, why = ""): never {
  const text = typeof value === "string" ? value : writeJson(value);
  throw new VolleyError(
    "PARAMS_INVALID",
    `the field '${key}' has an invalid value (${text}), and could not be converted to an ${wanted}.${why}`,
  );
}

/** The text Python makes of a scalar; of a list or a dict, its JSON. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "True" : "False";
  return numeric(value) === undefined ? writeJson(value) : numberText(value as number);
}

/** Return an error's message without the place in a text that only the engine knows. */
export function plainMessage(thrown: unknown): string {
  return isVolleyError(thrown)
    ? thrown.message.replace(/^(?:<[^>]*>|the var "<text>")(?: \(line \d+\))?: /, "")
    : messageOf(thrown);
}

/** Render tags; a template may give several, as a list or with commas. */
export function renderTags(tags: readonly unknown[], templar: Templar): readonly string[] {
  return tags.flatMap((tag) => {
    const rendered = templar.value(tag);
    return (Array.isArray(rendered) ? rendered : [rendered])
      .flatMap((each) => String(each).split(","))
      .map((each) => each.trim());
  });
}
