import { count } from "../rows/amounts.ts";
import { diffRows } from "../rows/diff-rows.ts";
import { type Html, html, renderHtml } from "./html.ts";
import type { ChangeGroup } from "./task-details.ts";
import { hostsBrief, hostsText, isBrief, rowsMarkup, searchedNames } from "./words.ts";

/** Characters of markup all differences may take together. */
const BUDGET = 200_000;
const MAX_DIFF_ROWS = 80;

/** What was changed inside files and elsewhere, the same difference on many hosts told once. */
export function changesSection(changes: readonly ChangeGroup[]): Html {
  const shown: Html[] = [];
  let left = BUDGET;
  for (const change of changes) {
    const details = changeDetails(change);
    left -= renderHtml(details).length;
    if (left < 0) break;
    shown.push(details);
  }
  return html`${shown}
${changes.length > shown.length && html`<p class="dim">${count(changes.length - shown.length, "more difference")} not shown: the run’s log has them.</p>`}`;
}

function changeDetails({ title, action, hosts, diff }: ChangeGroup): Html {
  return html`<details class="change" data-names="${searchedNames(hosts)}"><summary>${title} <span class="dim">${action}</span> on ${hostsBrief(hosts)}</summary>
${!isBrief(hosts) && html`<p>${hostsText(hosts)}</p>`}${rowsMarkup(diffRows(diff, { maxRows: MAX_DIFF_ROWS }), "text diff")}</details>
`;
}
