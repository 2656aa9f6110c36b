import { type SourceLocation, VolleyError } from "../core/errors.ts";
import { Data } from "../core/values/value.ts";
import { inspectExpression, inspectText, type NamedVar, type TemplateContent } from "../template/inspect.ts";
import { isTemplate } from "../vars/scope.ts";
import type { YamlNode } from "../yaml/document.ts";
import { eachText, type LintFile, type PlacedText, placeInText } from "./source.ts";
import type { Unit } from "./unit.ts";

// Templates in YAML: texts and conditions.

/** Report what is wrong with a template's content, and note the vars that it reads. */
export function noteContent(
  unit: Unit,
  { unknown, vars }: TemplateContent,
  place: (line: number) => SourceLocation,
): void {
  for (const { kind, name, near, line } of unknown)
    unit.findings.add(
      `unknown-${kind}`,
      "error",
      place(line),
      `there is no ${kind} "${name}"${near}`,
      "plugins written in Python do not run here; REFERENCE.md lists those that Volley has",
    );
  for (const each of vars) unit.vars.use(each, place(each.line));
}

/** Look at a text that may hold templates; returns the vars that it reads. */
export function lintText(unit: Unit, source: LintFile, { text, at }: PlacedText): readonly NamedVar[] {
  if (!isTemplate(text)) return [];
  return look(unit, source, at, () => inspectText(text));
}

/** Look at every text of a node, at any depth. */
export function lintTexts(unit: Unit, source: LintFile, node: YamlNode | null): void {
  eachText(source, node, (placed) => lintText(unit, source, placed));
}

/** Look at a condition, or a list of conditions. */
export function lintConditions(unit: Unit, source: LintFile, node: YamlNode | null): void {
  const items = source.reader.items(node) ?? [node];
  for (const item of items) {
    const value = source.reader.value(item);
    const text = value instanceof Data ? value.text : value;
    if (typeof text !== "string" || text.trim() === "") continue;
    const at = source.reader.locate(item);
    if (!isTemplate(text)) {
      look(unit, source, at, () => inspectExpression(text));
      continue;
    }
    unit.findings.add(
      "braces-in-condition",
      "warning",
      at,
      "a condition is an expression already: leave the delimiters {{ }} or {% %} out",
    );
    lintText(unit, source, { text, at, path: [] });
  }
}

/** Look at a lone expression. */
export function lintExpression(unit: Unit, source: LintFile, { text, at }: PlacedText): void {
  look(unit, source, at, () => inspectExpression(text));
}

function look(
  unit: Unit,
  source: LintFile,
  at: SourceLocation,
  work: () => TemplateContent,
): readonly NamedVar[] {
  const place = (line: number): SourceLocation => placeInText(source, at, line);
  try {
    const content = work();
    noteContent(unit, content, place);
    return content.vars;
  } catch (thrown) {
    if (!(thrown instanceof VolleyError)) throw thrown;
    unit.findings.add(
      "template-syntax",
      "error",
      place(thrown.location?.line ?? 1),
      `the template cannot be read: ${thrown.message}`,
    );
    return [];
  }
}
