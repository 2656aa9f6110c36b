import { createHash } from "node:crypto";
import { count, formatDuration } from "../rows/amounts.ts";
import type { Row, Style } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { foldHostNames, UNICODE_SYMBOLS } from "../rows/wording.ts";
import type { ReportOutcome } from "./report-data.ts";
import { PAGE_SCRIPT } from "./script.ts";
import { PAGE_STYLES } from "./styles.ts";

/** A section of a page, named in the list of contents. */
export interface PageSection {
  readonly id: string;
  readonly title: string;
  /** The number of entries, beside the title. */
  readonly amount?: number;
  readonly content: Html;
}

/** The parts of a page. */
export interface Page {
  readonly title: string;
  /** The line below the title. */
  readonly subtitle: Html;
  readonly sections: readonly PageSection[];
  /** The data that the script shows on demand. */
  readonly data?: unknown;
  /** The scope of the search, as its field names it: `hosts, actions, failures`. Without it the page has no search field. */
  readonly searches?: string;
  /** The maker of the page: `volley 0.1.0`. */
  readonly generator?: string;
}

/** The differences of a page that is not complete in itself: a server changes it while it is looked at. */
export interface Served {
  /** Style and script, which take the place of the page's own. */
  readonly styles: string;
  readonly script: string;
  /** Attributes of the root element. */
  readonly attributes: Html;
  /** Beside the title. */
  readonly controls: Html;
  /** In front of the sections. */
  readonly notice: Html;
}

/**
 * Return the Content-Security-Policy of a page: its own style and script by their hashes and nothing else, so that even
 * text that slipped through all escaping could neither run nor load anything. A page that is served asks its own server.
 */
export function pagePolicy(served?: Pick<Served, "styles" | "script">): string {
  return [
    "default-src 'none'",
    `style-src ${hashSource(served?.styles ?? PAGE_STYLES)}`,
    `script-src ${hashSource(served?.script ?? PAGE_SCRIPT)}`,
    ...(served === undefined ? [] : ["connect-src 'self'"]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** Render a page that loads nothing, or one that is served. */
export function renderPage(page: Page, served?: Served): string {
  const { title, subtitle, sections, data, searches, generator } = page;
  return renderHtml(html`<!doctype html>
<html lang="en"${served?.attributes}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${pagePolicy(served)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
${generator !== undefined && html`<meta name="generator" content="${generator}">`}
<title>${title}</title>
<style>${markup(served?.styles ?? PAGE_STYLES)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<div class="head"><h1>${title}</h1>
${served?.controls}<button type="button" id="theme" hidden>Theme: automatic</button></div>
<p class="subtitle">${subtitle}</p>
</header>
<div class="toolbar">
<nav aria-label="Sections"><ul id="contents">${contentsMarkup(sections)}</ul></nav>
${
  searches !== undefined &&
  html`<div class="search" role="search" hidden>
<label for="search">Search <span class="vh">${searches}</span></label>
<input type="search" id="search" autocomplete="off" spellcheck="false" placeholder="${searches}" aria-describedby="found">
<span id="found" role="status"></span>
</div>`
}
</div>
<main id="main" tabindex="-1">
${served?.notice}${sections.map(
  (section) => html`<section id="${section.id}" aria-labelledby="${section.id}-title">
${sectionMarkup(section)}
</section>
`,
)}
</main>
${generator !== undefined && html`<footer><p>Made by ${generator}.${served === undefined && " This page is complete in itself: it loads nothing."}</p></footer>`}
${data !== undefined && html`<script type="application/json" id="data">${jsonMarkup(data)}</script>`}
<script>${markup(served?.script ?? PAGE_SCRIPT)}</script>
</body>
</html>
`);
}

/** The entries of the list of contents. */
export function contentsMarkup(sections: readonly PageSection[]): Html {
  return html`${sections.map(
    (section) => html`<li><a href="#${section.id}">${section.title}${amountOf(section)}</a></li>`,
  )}`;
}

/** A section without the element around it. */
export function sectionMarkup(section: PageSection): Html {
  return html`<h2 id="${section.id}-title">${section.title}${amountOf(section)}</h2>
${section.content}`;
}

/** A short form of a key, for the attribute that tells an element from its neighbours when a page is changed. */
export function shortKey(key: string): string {
  return createHash("sha256").update(key).digest("base64url").slice(0, 12);
}

function amountOf({ amount }: PageSection): Html | undefined {
  return amount === undefined ? undefined : html` <span class="amount">${amount}</span>`;
}

function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

const MARKUP = Symbol("markup");

/** Markup for a page; only {@link html} and {@link markup} make it. */
export interface Html {
  readonly [MARKUP]: string;
}

/** A value in a template: text is escaped, markup is not, lists are joined, `undefined` and `false` are left out. */
type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Fill a template with values made harmless: escape sequences and hidden characters are shown or removed, markup is escaped. */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = strings[0] ?? "";
  for (const [index, value] of values.entries()) text += textOf(value) + (strings[index + 1] ?? "");
  return { [MARKUP]: text };
}

/** Take text for markup; only for text of this program. */
export function markup(text: string): Html {
  return { [MARKUP]: text };
}

/** Return the text of a page. */
export function renderHtml(value: Html): string {
  return value[MARKUP];
}

/** Escape text for use between tags and in quoted attributes; ends of lines are kept. */
function escapeText(text: string): string {
  const safe = text.includes("\n") ? text.split("\n").map(safeLine).join("\n") : safeLine(text);
  return safe.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

/** Write JSON for a `script` element, in which nothing ends the element or begins a comment. */
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

const OUTCOME_SIGNS: Readonly<Record<ReportOutcome, string>> = {
  ok: UNICODE_SYMBOLS.ok,
  failed: UNICODE_SYMBOLS.failed,
  unreachable: UNICODE_SYMBOLS.failed,
  lost: UNICODE_SYMBOLS.failed,
  cancelled: UNICODE_SYMBOLS.cancelled,
  open: UNICODE_SYMBOLS.running,
};

/** An outcome with its sign. */
export function outcomeBadge(outcome: ReportOutcome): Html {
  return html`<span class="s ${outcome}"><span aria-hidden="true">${OUTCOME_SIGNS[outcome]}</span> ${outcomeWord(outcome)}</span>`;
}

/** An outcome in words. */
function outcomeWord(outcome: ReportOutcome): string {
  return outcome === "open" ? "not ended" : outcome;
}

/** A cell with a duration, which sorts by its milliseconds. */
export function elapsedCell(elapsedMs: number | undefined): Html {
  return elapsedMs === undefined
    ? html`<td class="n none" data-v="-1">–</td>`
    : html`<td class="n" data-v="${Math.round(elapsedMs)}">${formatDuration(elapsedMs)}</td>`;
}

/** A cell with a count: dim for 0, else in the colour of its state. */
export function countCell(amount: number, className: string): Html {
  return html`<td class="n ${amount === 0 ? "none" : className}">${amount}</td>`;
}

/** `web[01-17], db1 (18 hosts)`. */
export function hostsText(hosts: readonly string[]): Html {
  return html`<b>${foldHostNames(hosts.map(safeLine))}</b>${hosts.length > 1 && ` (${count(hosts.length, "host")})`}`;
}

const MAX_NAMES = 60;

/** `web[01-17], db1`, or only the number of hosts where the names would be long. */
export function hostsBrief(hosts: readonly string[]): Html {
  return isBrief(hosts) ? hostsText(hosts) : html`<b>${count(hosts.length, "host")}</b>`;
}

/** True where {@link hostsBrief} names hosts. */
export function isBrief(hosts: readonly string[]): boolean {
  return foldHostNames(hosts.map(safeLine)).length <= MAX_NAMES;
}

/** The names behind a set, for the search. */
export function searchedNames(hosts: readonly string[]): string {
  return hosts.length > 1 ? hosts.join(" ") : "";
}

/** Rows made for terminals, one below the other; added and removed lines are marked as such. */
export function rowsMarkup(rows: readonly Row[], className = "text"): Html {
  return html`<pre class="${className}">${rows.map((row) => html`${row.map(({ text, style }) => styled(text, style))}\n`)}</pre>`;
}

function styled(text: string, style: Style | undefined): Html | string {
  if (style?.color === "green") return html`<ins>${text}</ins>`;
  if (style?.color === "red") return html`<del>${text}</del>`;
  if (style?.dim === true) return html`<span class="dim">${text}</span>`;
  if (style?.bold === true) return html`<b>${text}</b>`;
  return style?.color === undefined ? text : html`<span class="${style.color}">${text}</span>`;
}
