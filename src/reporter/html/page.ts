import { createHash } from "node:crypto";
import { type Html, html, jsonMarkup, markup, renderHtml } from "./html.ts";
import { PAGE_SCRIPT } from "./page-script.ts";
import { PAGE_STYLES } from "./page-styles.ts";

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

/**
 * Render a page that loads nothing. Its Content-Security-Policy allows its own style and script by their hashes and
 * nothing else, so that even text that slipped through all escaping could neither run nor load anything.
 */
export function renderPage({ title, subtitle, sections, data, searches, generator }: Page): string {
  const policy = [
    "default-src 'none'",
    `style-src ${hashSource(PAGE_STYLES)}`,
    `script-src ${hashSource(PAGE_SCRIPT)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return renderHtml(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
${generator !== undefined && html`<meta name="generator" content="${generator}">`}
<title>${title}</title>
<style>${markup(PAGE_STYLES)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<div class="head"><h1>${title}</h1>
<button type="button" id="theme" hidden>Theme: automatic</button></div>
<p class="subtitle">${subtitle}</p>
</header>
<div class="toolbar">
<nav aria-label="Sections"><ul>${sections.map(
    (section) => html`<li><a href="#${section.id}">${section.title}${amountOf(section)}</a></li>`,
  )}</ul></nav>
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
${sections.map(
  (section) => html`<section id="${section.id}" aria-labelledby="${section.id}-title">
<h2 id="${section.id}-title">${section.title}${amountOf(section)}</h2>
${section.content}
</section>
`,
)}
</main>
${generator !== undefined && html`<footer><p>Made by ${generator}. This page is complete in itself: it loads nothing.</p></footer>`}
${data !== undefined && html`<script type="application/json" id="data">${jsonMarkup(data)}</script>`}
<script>${markup(PAGE_SCRIPT)}</script>
</body>
</html>
`);
}

function amountOf({ amount }: PageSection): Html | undefined {
  return amount === undefined ? undefined : html` <span class="amount">${amount}</span>`;
}

function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
