import { isVolleyError } from "../core/errors.ts";
import { copyKept, keepText } from "../core/values/kept-text.ts";
import { readPythonLiteral } from "../core/values/python-literal.ts";
import { Data } from "../core/values/value.ts";
import { isLate, OMIT } from "../core/values/vars.ts";
import { isTemplate, keepsType, loneName, type RenderedVar, type VarScope } from "../vars/scope.ts";
import { type TemplateEngine, trailingNewlines, VAR_TEXT } from "./engine.ts";
import { isOfUndefined, locate, reword } from "./errors.ts";
import {
  dictEntries,
  isDict,
  isList,
  isLiteral,
  readLiteral,
  str,
  Tuple,
  toValue,
  truth,
  tuple,
} from "./values.ts";

// What Ansible makes of texts in YAML beside templates: the values of vars and arguments, and conditions.

/** Render the text of a var. See `renderValue` of Templates; `native` keeps types as Jinja's own native mode does. */
export function renderText(
  engine: TemplateEngine,
  source: string,
  scope: VarScope,
  native: boolean,
): RenderedVar {
  const { value: found, text, isKept, pieces } = engine.valueOf(source, scope.vars);
  const { newlines } = text;
  const [piece = false, ...more] = pieces;
  const staysText = typeof piece === "string" ? scope.isVerbatim(piece) : piece;
  const verbatim = isKept || (more.length === 0 && staysText);
  // Vars that are worked out on access, such as another host's, are passed on as they are.
  if (isDict(found) && isLate(found)) return { value: found, verbatim: false };
  try {
    if (native) return { value: nativeValue(found, verbatim), verbatim };
    // Any value but a list, a dict or a text becomes its printed text.
    const isKept = (isList(found) || isDict(found)) && !(found instanceof Tuple) && isLiteral(found);
    const value = isKept ? found : found === null ? "" : str(found);
    if (typeof value !== "string") return { value: toValue(value), verbatim: false };
    const said = verbatim ? undefined : readLiteral(value);
    if (said !== undefined) return { value: toValue(said), verbatim };
    return { value: value + "\n".repeat(Math.max(0, newlines - trailingNewlines(value))), verbatim };
  } catch (error) {
    throw locate(error, { template: VAR_TEXT, line: 1 });
  }
}

/** Return a value as Jinja's NativeEnvironment does: a text that is a Python literal is that literal. */
function nativeValue(found: unknown, verbatim: boolean): unknown {
  if (typeof found !== "string") return toValue(found);
  // Python takes blanks before an expression for a wrong indent.
  if (verbatim || /^[ \t]/.test(found)) return found;
  const said = readPythonLiteral(found, {
    collection: (kind, items) => (kind === "tuple" ? tuple(...items) : undefined),
  });
  if (said === undefined) return found;
  // A text in quotes stays one, and in them.
  return typeof said === "string" ? found[0]! + said + found[0]! : toValue(said);
}

/** Options of `renderArguments`. */
export interface ArgumentOptions {
  /** Render the keys of dicts, too, as `set_fact` does with those of its facts. Default: false. */
  readonly keys?: boolean;
}

/** Render arguments at any depth. See `renderArguments` of Templates. */
export function renderArguments(
  engine: TemplateEngine,
  value: unknown,
  scope: VarScope,
  native: boolean,
  { keys = false }: ArgumentOptions,
): unknown {
  /** Set where the last text that was rendered stays text. */
  let isKept = false;
  const one = (text: string): unknown => {
    isKept = false;
    const name = loneName(text);
    if (name !== undefined) {
      const written = scope.written(name);
      if (keepsType(written)) return written;
    }
    const rendered = renderText(engine, text, scope, native);
    isKept = rendered.verbatim && typeof rendered.value === "string";
    return rendered.value;
  };
  const walk = (part: unknown): unknown => {
    isKept = false;
    if (part instanceof Data) return part.text;
    if (isTemplate(part)) return one(part);
    if (!isList(part) && !isDict(part)) return part;
    const texts: (string | number)[] = [];
    const inside = (key: unknown, inner: unknown): unknown => {
      const value = walk(inner);
      if (isKept) texts.push(key as string | number);
      return value;
    };
    const make = (): unknown => {
      if (isList(part)) return part.map((inner, index) => inside(index, inner));
      const entries = dictEntries(part).map(([key, inner]): [unknown, unknown] => {
        const name = keys && isTemplate(key) ? one(key) : key;
        return [name, inside(name, inner)];
      });
      return part instanceof Map ? new Map(entries) : Object.fromEntries(entries);
    };
    const made = make() as object;
    for (const key of texts) keepText(made, key, true);
    isKept = false;
    return made;
  };
  try {
    return withoutOmitted(walk(value));
  } catch (error) {
    throw unplaced(error);
  }
}

/** Leave out of dicts, at any depth, the items whose value is OMIT. As in Ansible, it stays in lists. */
function withoutOmitted(value: unknown): unknown {
  if (isList(value)) {
    const items = value.map(withoutOmitted);
    if (!items.some((item, index) => item !== value[index])) return value;
    copyKept(value, items);
    return items;
  }
  if (!isDict(value) || isLate(value)) return value;
  let changed = false;
  const entries: [unknown, unknown][] = [];
  for (const [key, inner] of dictEntries(value)) {
    const kept = inner === OMIT ? OMIT : withoutOmitted(inner);
    changed ||= kept !== inner || kept === OMIT;
    if (kept !== OMIT) entries.push([key, kept]);
  }
  if (!changed) return value;
  const copy = value instanceof Map ? new Map(entries) : Object.fromEntries(entries);
  copyKept(value, copy);
  return copy;
}

/** The place in a text of YAML is its caller's to tell. */
function unplaced(error: unknown): unknown {
  return isVolleyError(error) && error.location?.file.startsWith("<") === true
    ? reword(error, (message) => message)
    : error;
}

/** Return the truth of a condition. See `condition` of Templates. */
export function condition(
  engine: TemplateEngine,
  given: unknown,
  scope: VarScope,
  native: boolean,
  isWritten: boolean,
): boolean {
  if (given === null || given === undefined || given === "") return true;
  const text = given instanceof Data ? given.text : given;
  if (typeof text !== "string") return truth(text);
  try {
    let expression = text;
    if (isWritten && isTemplate(text)) {
      const value = renderArguments(engine, text, scope, native, {});
      if (typeof value !== "string" || value === "") return truth(value);
      expression = value;
    }
    // What comes out of a template may come from a host, which must not look anything up.
    return engine.evaluate(expression, scope.vars, truth, isWritten && expression === text);
  } catch (error) {
    throw reword(error, (message) => {
      const why = isOfUndefined(error) ? `error while evaluating conditional (${text}): ${message}` : message;
      return `The conditional check '${text}' failed. The error was: ${why}`;
    });
  }
}
