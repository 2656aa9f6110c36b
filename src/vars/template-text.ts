import { isRecord } from "../core/json.ts";

/** Whether a text is a template, as Ansible tells: it has the start of an expression, a block or a comment in it. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && /\{[{%#]/.test(value);
}

/** Whether a value holds a template, at any depth; keys of dicts are none. */
export function holdsTemplate(value: unknown): boolean {
  if (typeof value === "string") return isTemplate(value);
  if (Array.isArray(value)) return value.some(holdsTemplate);
  if (value instanceof Map) return [...value.values()].some(holdsTemplate);
  return isRecord(value) && Object.values(value).some(holdsTemplate);
}

/** A value with the templates in it, at any depth, replaced. */
export function mapTemplates(value: unknown, replace: (template: string) => unknown): unknown {
  if (typeof value === "string") return isTemplate(value) ? replace(value) : value;
  if (Array.isArray(value)) return value.map((item) => mapTemplates(item, replace));
  if (value instanceof Map) {
    return new Map(Array.from(value, ([key, inner]) => [key, mapTemplates(inner, replace)]));
  }
  if (!isRecord(value) || !holdsTemplate(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapTemplates(inner, replace)]));
}
