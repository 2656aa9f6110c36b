import type { Event } from "../../core/events.ts";
import { TALLY_KEYS, type Tally, tallyTotal } from "../../core/result.ts";
import { count, formatBytes, formatDuration, formatElapsed } from "../rows/amounts.ts";
import { diffRows, errorRows } from "../rows/details.ts";
import { line } from "../rows/row.ts";
import { safeLine, safeLines } from "../rows/sanitize.ts";
import { CHECK_MODE, taskTitle } from "../rows/wording.ts";
import {
  bySlowness,
  PHASE_MEANINGS,
  phaseTimes,
  TASK_STATES,
  type TaskState,
  type TaskTimes,
} from "../timing.ts";
import { axis, spreadBar } from "./charts.ts";
import { hostsSection, packHostDetails, shownHosts } from "./hosts-section.ts";
import {
  countCell,
  elapsedCell,
  type Html,
  hostsBrief,
  hostsText,
  html,
  isBrief,
  outcomeBadge,
  type Page,
  type PageSection,
  renderHtml,
  renderPage,
  rowsMarkup,
  searchedNames,
  shortKey,
} from "./page.ts";
import {
  type ChangeGroup,
  type FailureDetails,
  foldReport,
  type Note,
  type ReportData,
  type ReportFailure,
  type ReportOutcome,
} from "./report-data.ts";

/** The options of a run's page. */
interface RunPageOptions {
  /** True when the controller still works on a run whose log has no end. Default false. */
  readonly goingOn?: boolean;
  /** The maker of the page: `volley 0.1.0`. */
  readonly generator?: string;
}

/** Render the page of one run from the events of its log, as HTML that loads nothing. */
export function renderRunPage(events: readonly Event[], options: RunPageOptions = {}): string {
  return renderPage(runPage(foldReport(events, options.goingOn ?? false), options.generator));
}

/** Return the page of one run; `generator` is its maker. */
export function runPage(data: ReportData, generator?: string): Page {
  const details = packHostDetails(data.tasks, shownHosts(data.hosts));
  return {
    title: runTitle(data),
    subtitle: subtitleOf(data),
    sections: runSections(data, { summary: summarySection(data), hosts: hostsSection(data) }),
    searches: SEARCHES,
    ...(details === undefined ? {} : { data: details }),
    ...(generator === undefined ? {} : { generator }),
  };
}

/** The scope of the search on the page of a run. */
export const SEARCHES = "hosts, actions, failures";

/** `site.ts on 200 hosts` */
export function runTitle({ summary, hosts }: ReportData): string {
  return `${summary.playbook} on ${count(hosts.length, "host")}`;
}

/** Return the sections of the page of a run, in order; those that have nothing to show are left out. */
export function runSections(
  data: ReportData,
  given: { readonly summary: Html; readonly hosts: Html },
): readonly PageSection[] {
  const { hosts, tasks, failures, changes, notes } = data;
  const sections: readonly (PageSection | false)[] = [
    { id: "summary", title: "Summary", content: given.summary },
    failures.length > 0 && {
      id: "failures",
      title: "Failures",
      amount: failures.length,
      content: failuresSection(failures),
    },
    { id: "hosts", title: "Hosts", amount: hosts.length, content: given.hosts },
    { id: "phases", title: "Where the time went", content: timeSection(data) },
    tasks.length > 0 && {
      id: "actions",
      title: "Actions by time",
      amount: tasks.length,
      content: actionsSection(tasks),
    },
    changes.length > 0 && {
      id: "changes",
      title: "Differences",
      amount: changes.length,
      content: changesSection(changes),
    },
    notes.length > 0 && { id: "notes", title: "Notes", amount: notes.length, content: notesSection(notes) },
  ];
  return sections.filter((section) => section !== false);
}

/** The line below the title. */
export function subtitleOf({ summary, startedAtMs }: ReportData): Html {
  const started = new Date(startedAtMs).toISOString();
  return html`run <code>${summary.run}</code>, begun <time datetime="${started}">${started.slice(0, 19).replace("T", " ")} UTC</time>`;
}

const OUTCOMES: readonly ReportOutcome[] = ["ok", "failed", "unreachable", "lost", "cancelled", "open"];
const TALLY_WORDS: Readonly<Record<keyof Tally, string>> = {
  unchanged: "unchanged",
  changed: "changed",
  skipped: "skipped",
  failed: "failed",
  ignored: "ignored",
  rescued: "rescued",
  notExecuted: "not executed",
};

/** The totals of the run; `note` stands above them, and `clock` for the time that the run took. */
export function summarySection(
  data: ReportData,
  note: Html | undefined = stateNote(data),
  clock: string = formatElapsed(data.elapsedMs),
): Html {
  const { summary, hosts, directHosts, build, plays, concurrency } = data;
  const uploads = hosts.filter(({ uploadedBytes }) => uploadedBytes > 0);
  const uploadedBytes = uploads.reduce((sum, host) => sum + host.uploadedBytes, 0);
  return html`${note}
${summary.check && html`<p class="note"><b>${CHECK_MODE}.</b></p>`}
<div class="tiles">
<div><h3>${count(hosts.length, "host")}</h3><ul>${OUTCOMES.map((outcome) => {
    const amount = hosts.filter((host) => host.outcome === outcome).length;
    return amount > 0 && html`<li>${amount} ${outcomeBadge(outcome)}</li>`;
  })}</ul></div>
<div><h3>${grouped(tallyTotal(summary.tally))} ${tallyTotal(summary.tally) === 1 ? "action" : "actions"}</h3><ul>${TALLY_KEYS.map(
    (key) =>
      summary.tally[key] > 0 &&
      html`<li>${grouped(summary.tally[key])} <span class="s ${key}">${TALLY_WORDS[key]}</span></li>`,
  )}</ul></div>
<div><h3>${clock}</h3><ul><li>${count(plays.length, "play")}</li>${
    concurrency > 0 && html`<li>at most ${count(concurrency, "host")} at a time</li>`
  }${directHosts > 0 && html`<li>${count(directHosts, "host")} directly, without a bundle</li>`}${data.state === "ended" && html`<li>exit code ${summary.exitCode}</li>`}</ul></div>
${
  build !== undefined &&
  html`<div><h3>${formatBytes(build.bytes)} bundle</h3><ul><li>${
    build.reused ? "unchanged since it was last built" : `built in ${formatElapsed(build.elapsedMs)}`
  }</li><li>${
    uploads.length === 0
      ? "sent to no host"
      : `sent to ${count(uploads.length, "host")}: ${formatBytes(uploadedBytes)}`
  }</li></ul></div>`
}
</div>
${
  plays.length > 0 &&
  html`<h3>Plays</h3><ol class="plays">${plays.map((play) => html`<li>${play.name} <span class="dim">on ${count(play.hosts.length, "host")}</span></li>`)}</ol>`
}`;
}

function stateNote({ state, hosts }: ReportData): Html | undefined {
  if (state === "ended") return undefined;
  const open = hosts.filter(({ outcome }) => outcome === "open").length;
  return html`<p class="note"><b>${
    state === "going on" ? "This run is still going on." : "The log of this run was cut off before its end."
  }</b> ${
    open === 0 ? "All hosts had ended." : `Of ${count(open, "host")} no end is known.`
  } What follows is as far as the log goes.</p>`;
}

/** `17,336` */
function grouped(amount: number): string {
  return amount.toLocaleString("en-US");
}

const MAX_GROUPS = 50;
const MAX_OUTPUT_LINES = 200;
const MAX_DIFF_ROWS = 200;
const MAX_ITEMS = 20;
/** A page with more failures than these folds their details away. */
const OPEN_GROUPS = 3;

/** The failures, each once with its hosts. */
function failuresSection(failures: readonly ReportFailure[]): Html {
  const shown = failures.slice(0, MAX_GROUPS);
  const open = shown.length <= OPEN_GROUPS;
  return html`${shown.map((failure) => failureArticle(failure, open))}
${failures.length > shown.length && html`<p class="dim">${count(failures.length - shown.length, "rarer failure")} not shown: the run’s log has them.</p>`}`;
}

function failureArticle(failure: ReportFailure, open: boolean): Html {
  const { hosts, outcome, task, error, details, identical } = failure;
  return html`<article class="failure" data-key="${shortKey(failure.key)}" data-names="${searchedNames(hosts)}">
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

/** The times of each phase over all hosts. */
function timeSection({ hosts, build }: ReportData): Html {
  const phases = phaseTimes(hosts);
  const fullMs = Math.max(1, ...phases.map(({ elapsed }) => elapsed.max));
  return html`<p>Each phase over all hosts that came to it. Hosts are worked on at the same time, so sums over hosts are more than the run took.</p>
<div class="scroll" role="region" aria-label="Table of phases" tabindex="0">
<table data-sortable>
<caption class="vh">Phases, with minimum, median and maximum over hosts</caption>
<thead><tr><th scope="col">Phase</th><th scope="col" class="n">Median</th><th scope="col" class="n">Min</th><th scope="col" class="n">Max</th><th scope="col" class="wide" data-sort="none"><span>Min, median, max</span>${axis(fullMs)}</th><th scope="col">Slowest host</th></tr></thead>
<tbody>
${
  build !== undefined &&
  html`<tr><th scope="row">build <span class="dim">${build.reused ? "reused: nothing had changed" : "once, on the controller"}</span></th>${elapsedCell(build.elapsedMs)}${elapsedCell(undefined)}${elapsedCell(undefined)}<td class="wide"></td><td class="none">–</td></tr>
`
}${phases.map(
  ({ phase, elapsed, slowest }) =>
    html`<tr><th scope="row">${phase} <span class="dim">${PHASE_MEANINGS[phase]}</span></th>${elapsedCell(elapsed.median)}${elapsedCell(elapsed.min)}${elapsedCell(elapsed.max)}<td class="wide">${spreadBar(elapsed, fullMs)}</td><td>${slowest} <span class="dim">${formatDuration(elapsed.max)}</span></td></tr>
`,
)}</tbody></table></div>`;
}

/** The rows of the table; tasks with less total time are left out. */
const MAX_TASKS = 400;

/** Actions by time over all hosts, the slowest first. */
function actionsSection(tasks: readonly TaskTimes[]): Html {
  const shown = bySlowness(tasks).slice(0, MAX_TASKS);
  const states = TASK_STATES.filter((state) => tasks.some((task) => (task.states[state] ?? 0) > 0));
  const fullMs = Math.max(1, ...shown.map(({ elapsed }) => elapsed.max));
  return html`<p>The total is over all hosts; hosts that skipped a task do not count towards its times.</p>
<div class="scroll" role="region" aria-label="Table of actions" tabindex="0">
<table class="actions" data-sortable data-found="action">
<caption class="vh">Actions by total time, with how they ended and how long they took over hosts</caption>
<thead><tr><th scope="col">Action</th><th scope="col" class="n" aria-sort="descending">Total</th><th scope="col" class="n">Median</th><th scope="col" class="n">Min</th><th scope="col" class="n">Max</th><th scope="col" class="wide" data-sort="none"><span>Min, median, max</span>${axis(fullMs)}</th><th scope="col">Slowest host</th>${states.map((state) => html`<th scope="col" class="n">${headingOf(state)}</th>`)}</tr></thead>
<tbody>
${shown.map((task) => actionRow(task, states, fullMs))}</tbody></table></div>
${tasks.length > shown.length && html`<p class="dim">${count(tasks.length - shown.length, "faster action")} not shown.</p>`}`;
}

function actionRow(task: TaskTimes, states: readonly TaskState[], fullMs: number): Html {
  const { elapsed, slowest } = task;
  const none = elapsed.count === 0;
  const ms = (value: number): number | undefined => (none ? undefined : value);
  return html`<tr><th scope="row">${taskTitle(task)}${task.nth > 1 && ` (${task.nth})`} <span class="dim">${task.action}${task.handler && ", handler"}, ${task.play}</span></th>${elapsedCell(ms(elapsed.total))}${elapsedCell(ms(elapsed.median))}${elapsedCell(ms(elapsed.min))}${elapsedCell(ms(elapsed.max))}<td class="wide">${!none && spreadBar(elapsed, fullMs)}</td><td>${slowest ?? ""}</td>${states.map((state) => countCell(task.states[state] ?? 0, state))}</tr>
`;
}

function headingOf(state: TaskState): string {
  return `${state[0]?.toUpperCase()}${state.slice(1)}`;
}

/** The limit on the markup of all differences together, in characters. */
const BUDGET = 200_000;
const MAX_CHANGE_ROWS = 80;

/** The differences that tasks made, equal ones of many hosts once. */
function changesSection(changes: readonly ChangeGroup[]): Html {
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

function changeDetails({ key, title, action, hosts, diff }: ChangeGroup): Html {
  return html`<details class="change" data-key="${shortKey(key)}" data-names="${searchedNames(hosts)}"><summary>${title} <span class="dim">${action}</span> on ${hostsBrief(hosts)}</summary>
${!isBrief(hosts) && html`<p>${hostsText(hosts)}</p>`}${rowsMarkup(diffRows(diff, { maxRows: MAX_CHANGE_ROWS }), "text diff")}</details>
`;
}

const MAX_NOTES = 200;

/** Warnings, lost connections, batches. */
function notesSection(notes: readonly Note[]): Html {
  return html`<ul class="notes">${notes.slice(0, MAX_NOTES).map(
    ({ kind, text, hosts, atMs }) =>
      html`<li data-names="${searchedNames(hosts)}"><span class="dim">${formatDuration(atMs)}</span> <b>${kind}</b> ${hosts.length > 0 && html`${hostsText(hosts)}: `}${text}</li>
`,
  )}</ul>
${notes.length > MAX_NOTES && html`<p class="dim">${count(notes.length - MAX_NOTES, "more note")} not shown.</p>`}`;
}
