import { count } from "../rows/amounts.ts";
import type { Row, Style } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { UNICODE_SYMBOLS } from "../rows/symbols.ts";
import { foldHostNames } from "../summary/host-sets.ts";
import { formatDuration } from "../timing/duration.ts";
import { type Html, html } from "./html.ts";
import type { ReportOutcome } from "./report-data.ts";

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
export function outcomeWord(outcome: ReportOutcome): string {
  return outcome === "open" ? "not ended" : outcome;
}

/** A cell with a duration, which sorts by its milliseconds. */
export function elapsedCell(elapsedMs: number | undefined): Html {
  return elapsedMs === undefined
    ? html`<td class="n none" data-v="-1">–</td>`
    : html`<td class="n" data-v="${Math.round(elapsedMs)}">${formatDuration(elapsedMs)}</td>`;
}

/** A cell with a count; a count of nothing is dim, others have the colour of what they count. */
export function countCell(amount: number, className: string): Html {
  return html`<td class="n ${amount === 0 ? "none" : className}">${amount}</td>`;
}

/** `web[01-17], db1 (18 hosts)`. */
export function hostsText(hosts: readonly string[]): Html {
  return html`<b>${foldHostNames(hosts.map(safeLine))}</b>${hosts.length > 1 && ` (${count(hosts.length, "host")})`}`;
}

const MAX_NAMES = 60;

/** `web[01-17], db1`, or only how many hosts it is when that would be long. */
export function hostsBrief(hosts: readonly string[]): Html {
  return isBrief(hosts) ? hostsText(hosts) : html`<b>${count(hosts.length, "host")}</b>`;
}

/** Whether {@link hostsBrief} names hosts. */
export function isBrief(hosts: readonly string[]): boolean {
  return foldHostNames(hosts.map(safeLine)).length <= MAX_NAMES;
}

/** Names a search finds although a set stands for them. */
export function searchedNames(hosts: readonly string[]): string {
  return hosts.length > 1 ? hosts.join(" ") : "";
}

/** Rows as they are made for terminals, one below the other; what was added and removed is marked as such. */
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
