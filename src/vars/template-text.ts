import { Data, mapLeaves } from "../core/value.ts";

/** Whether a text is a template, as Ansible tells: it has the start of an expression, a block or a comment in it. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && /\{[{%#]/.test(value);
}

/** Whether a value holds a template or {@link Data}, at any depth: it is not yet what templates are to see. Keys of dicts are none. */
export function holdsTemplate(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isTemplate(leaf) || leaf instanceof Data;
    return leaf;
  });
  return found;
}

/** A value with the templates in it, at any depth, replaced, and data as the text it is. */
export function mapTemplates(value: unknown, replace: (template: string) => unknown): unknown {
  return mapLeaves(value, (leaf) => {
    if (leaf instanceof Data) return leaf.text;
    return isTemplate(leaf) ? replace(leaf) : leaf;
  });
}
