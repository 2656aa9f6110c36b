import { VolleyError } from "../core/errors.ts";
import { type RenderedVar, type VarOrigin, type VarScope, varScope } from "../vars/scope.ts";
import { type ArgumentOptions, condition, renderArguments, renderText } from "./arguments.ts";
import { TemplateEngine, VAR_TEXT } from "./engine.ts";
import { nameVar } from "./errors.ts";
import { datetime, wallClock } from "./filters/date.ts";
import { runLookup } from "./lookups.ts";
import type { TemplateOptions, TemplateStyle, TemplateVars } from "./options.ts";
import { toValue } from "./values.ts";

export { isOfUndefined } from "./errors.ts";
export * as lent from "./lent.ts";
export type { TemplateLoader, TemplateOptions } from "./options.ts";
export type { PrecompiledTemplates } from "./precompiled.ts";

/** Templates that share a loader, options and a cache of compiled code. Failures are VolleyErrors `TEMPLATE_FAILED`. */
export interface Templates {
  /** Render a template of the loader. `modifiedMs`: when its file was changed last, which it sees as `template_mtime`. */
  render(name: string, vars: TemplateVars, overrides?: TemplateStyle, modifiedMs?: number): string;
  /** Render a text, which errors call `info.name`. */
  renderString(source: string, vars: TemplateVars, info?: { readonly name?: string }): string;
  /**
   * Render the text of a var. As in Ansible the value is the rendered text, or the list, dict or bool that this text
   * is. Backslashes in expressions stand for themselves. Errors name the var and the place where it is set.
   */
  renderValue(source: string, scope: VarScope, origin: VarOrigin): RenderedVar;
  /**
   * Return the truth of a condition of Ansible's YAML, as its `when` has it: a bool, an expression, or a text with
   * delimiters, whose value is an expression again. An empty condition is true. A text that a template gave (`isWritten`
   * is false) looks nothing up.
   */
  condition(condition: unknown, vars: TemplateVars, isWritten?: boolean): boolean;
  /**
   * Render the arguments of a task, at any depth, as {@link renderValue} renders a var. An item of a dict whose value is
   * OMIT is left out; an OMIT at the very top is returned.
   */
  renderArguments(value: unknown, vars: TemplateVars, options?: ArgumentOptions): unknown;
  /**
   * Return the items that a lookup finds, for Ansible's `with_NAME` and the like. Terms that are no list are one term.
   */
  runLookup(
    name: string,
    terms: unknown,
    vars: TemplateVars,
    options?: Readonly<Record<string, unknown>>,
  ): unknown[];
  /** Return the native value of an expression such as `a.b | length > 2`; an undefined result is an error. `isWritten`: as of `condition`. */
  evaluate(expression: string, vars: TemplateVars, isWritten?: boolean): unknown;
}

/** Make templates that behave as Jinja2 does in Ansible. */
export function createTemplates(options: TemplateOptions = {}): Templates {
  const isNative = options.native === true;
  const engine = new TemplateEngine(
    options,
    (text, vars) => renderText(engine, text, varScope(vars), isNative).value,
  );
  return {
    render(name, vars, overrides = {}, modifiedMs) {
      const at = (date: Date): unknown => datetime(wallClock(date, false));
      const text = engine.render(name, vars, overrides, {
        template_run_date: at(new Date()),
        ...(modifiedMs === undefined ? {} : { template_mtime: at(new Date(modifiedMs)) }),
      });
      if (text !== null) return text;
      throw new VolleyError("TEMPLATE_FAILED", `there is no template '${name}'`, {
        location: { file: name },
      });
    },
    renderString: (source, vars, info = {}) => engine.renderText(source, info.name ?? "<template>", vars),
    renderValue(source, scope, origin) {
      try {
        return renderText(engine, source, scope, isNative);
      } catch (error) {
        throw nameVar(error, VAR_TEXT, origin);
      }
    },
    condition: (text, vars, isWritten = true) => condition(engine, text, varScope(vars), isNative, isWritten),
    renderArguments: (value, vars, given = {}) =>
      renderArguments(engine, value, varScope(vars), isNative, given),
    runLookup: (name, terms, vars, given = {}) => runLookup(name, terms, given, engine.stateOf(vars)),
    evaluate: (expression, vars, isWritten = true) => engine.evaluate(expression, vars, toValue, isWritten),
  };
}
