import { readBool } from "../actions/coerce.ts";
import { isVolleyError, messageOf, VolleyError } from "../core/errors.ts";
import { isDict, numberText, numeric, writeJson } from "../core/values/value.ts";
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
  /** Render, and read as a bool. */
  bool(value: unknown): boolean;
  /** Render, and read as a text. */
  text(value: unknown): string;
  /** Evaluate a condition as `when` has it. Fails with `TEMPLATE_FAILED`. */
  condition(condition: unknown): boolean;
  /** Evaluate an expression. */
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
    bool: (given) => {
      const rendered = value(given);
      return readBool(rendered) ?? isTrue(rendered);
    },
    text: (given) => {
      const rendered = value(given);
      return rendered === null || rendered === undefined ? "" : textOf(rendered);
    },
    condition: (given) => {
      if (typeof given === "string" && isTemplate(given))
        warn(
          `conditional statements should not include jinja2 templating delimiters such as {{ }} or {% %}. Found: ${given}`,
        );
      try {
        return templates.condition(given, vars);
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
    evaluate: (expression) => templates.evaluate(expression, vars),
    lookup: (name, terms, options) => templates.runLookup(name, terms, vars, options),
    with: (more) => templarOf(templates, extendScope(vars, more), render, warn),
  };
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isDict(value)) return (value instanceof Map ? value.size : Object.keys(value).length) > 0;
  return Boolean(value?.valueOf());
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
