import { count } from "../rows/amounts.ts";
import { diffRows } from "../rows/diff-rows.ts";
import { errorRows } from "../rows/error-rows.ts";
import { line } from "../rows/row.ts";
import { safeLine, safeLines } from "../rows/sanitize.ts";
import { formatDuration } from "../timing/duration.ts";
import { type Html, html } from "./html.ts";
import type { ReportFailure } from "./report-data.ts";
import type { FailureDetails } from "./task-details.ts";
import { hostsText, outcomeBadge, rowsMarkup, searchedNames } from "./words.ts";

const MAX_GROUPS = 50;
const MAX_OUTPUT_LINES = 200;
const MAX_DIFF_ROWS = 200;
const MAX_ITEMS = 20;
/** With no more failures than these, nothing is folded away. */
const OPEN_GROUPS = 3;

/** What went wrong, each thing once with the hosts it went wrong on. */
export function failuresSection(failures: readonly ReportFailure[]): Html {
  const shown = failures.slice(0, MAX_GROUPS);
  const open = shown.length <= OPEN_GROUPS;
  return html`${shown.map((failure) => failureArticle(failure, open))}
${failures.length > shown.length && html`<p class="dim">${count(failures.length - shown.length, "rarer failure")} not shown: the run’s log has them.</p>`}`;
}

function failureArticle(failure: ReportFailure, open: boolean): Html {
  const { hosts, outcome, task, error, details, identical } = failure;
  return html`<article class="failure" data-names="${searchedNames(hosts)}">
<h3>${outcomeBadge(outcome)} ${task ?? titleOf(failure)}</h3>
<p>on ${hostsText(hosts)}${details !== undefined && ` after ${formatDuration(details.elapsedMs)}`}</p>
${!identical && html`<p class="dim">As ${hosts[0]} says it; the others say the same of themselves:</p>`}
${error !== undefined && rowsMarkup(errorRows(error), "text error")}
${details !== undefined && itemsMarkup(details)}
${outputMarkup(failure, open)}
${details !== undefined && details.diff.length > 0 && html`<details${openness(open)}><summary>Difference</summary>${rowsMarkup(diffRows(details.diff, { maxRows: MAX_DIFF_ROWS }), "text diff")}</details>`}
</article>
`;
}

function titleOf({ outcome, started }: ReportFailure): string {
  switch (outcome) {
    case "failed":
      return started
        ? "The host’s part of the run ended early"
        : "The host’s part of the run could not begin";
    case "unreachable":
      return "The host could not be reached";
    case "lost":
      return "The end of the host’s part of the run was not seen";
    case "cancelled":
      return "The host’s part of the run was stopped";
  }
}

function outputMarkup({ details, output, hosts }: ReportFailure, open: boolean): Html | undefined {
  const lines =
    details === undefined || details.output === "" ? output.flatMap(safeLines) : safeLines(details.output);
  if (lines.length === 0) return undefined;
  const cut = (details?.cutCharacters ?? 0) > 0 || lines.length > MAX_OUTPUT_LINES;
  const shown = lines.slice(-MAX_OUTPUT_LINES);
  return html`<details${openness(open)}><summary>Output${hosts.length > 1 && ` on ${safeLine(hosts[0] ?? "")}`} (${
    cut ? `the last ${shown.length} lines` : count(shown.length, "line")
  })</summary>${rowsMarkup(shown.map((text) => line(text)))}</details>`;
}

function itemsMarkup({ items }: FailureDetails): Html | undefined {
  const failed = items.filter(({ state }) => state === "failed");
  if (failed.length === 0) return undefined;
  return html`<ul class="items">${failed
    .slice(0, MAX_ITEMS)
    .map(
      ({ label, error, message }) =>
        html`<li>item <b>${label}</b>${(error?.message ?? message) !== undefined && `: ${error?.message ?? message}`}</li>`,
    )}${failed.length > MAX_ITEMS && html`<li class="dim">${count(failed.length - MAX_ITEMS, "more item")}</li>`}</ul>`;
}

function openness(open: boolean): Html | undefined {
  return open ? html` open` : undefined;
}
