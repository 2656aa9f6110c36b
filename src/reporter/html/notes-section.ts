import { count } from "../rows/amounts.ts";
import { formatDuration } from "../timing/duration.ts";
import { type Html, html } from "./html.ts";
import type { Note } from "./notes.ts";
import { hostsText, searchedNames } from "./words.ts";

const MAX_NOTES = 200;

/** Warnings, lost connections, batches: what is no task's result. */
export function notesSection(notes: readonly Note[]): Html {
  return html`<ul class="notes">${notes.slice(0, MAX_NOTES).map(
    ({ kind, text, hosts, atMs }) =>
      html`<li data-names="${searchedNames(hosts)}"><span class="dim">${formatDuration(atMs)}</span> <b>${kind}</b> ${hosts.length > 0 && html`${hostsText(hosts)}: `}${text}</li>
`,
  )}</ul>
${notes.length > MAX_NOTES && html`<p class="dim">${count(notes.length - MAX_NOTES, "more note")} not shown.</p>`}`;
}
