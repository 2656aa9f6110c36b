import { safeLine } from "../rows/sanitize.ts";

const MARKUP = Symbol("markup");

/** Markup that may stand in a page as it is; made by {@link html} and {@link markup} alone. */
export interface Html {
  readonly [MARKUP]: string;
}

/** What can stand in a template: text is escaped, markup is not, lists are joined, and nothing of `undefined` and `false`. */
export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A template whose values are made harmless: escape sequences and hidden characters shown or removed, markup escaped. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = strings[0] ?? "";
  for (const [index, value] of values.entries()) text += textOf(value) + (strings[index + 1] ?? "");
  return { [MARKUP]: text };
}

/** Takes text for markup; only for what this program has itself written. */
export function markup(text: string): Html {
  return { [MARKUP]: text };
}

/** The text of a page. */
export function renderHtml(value: Html): string {
  return value[MARKUP];
}

/** Text that is safe between tags and in quoted attributes; ends of lines are kept. */
export function escapeText(text: string): string {
  const safe = text.includes("\n") ? text.split("\n").map(safeLine).join("\n") : safeLine(text);
  return safe.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

/** JSON for a `script` element: nothing in it ends the element or begins a comment. */
export function jsonMarkup(value: unknown): Html {
  const text = JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return markup(text);
}

function textOf(value: HtmlValue): string {
  if (value === undefined || value === false) return "";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return escapeText(value);
  if (isList(value)) return value.map(textOf).join("");
  return value[MARKUP];
}

function isList(value: Html | readonly HtmlValue[]): value is readonly HtmlValue[] {
  return Array.isArray(value);
}
