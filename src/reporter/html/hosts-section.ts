import { PHASES } from "../../core/events.ts";
import { isRare, TALLY_KEYS, type Tally } from "../../core/result.ts";
import { formatDuration } from "../rows/amounts.ts";
import { safeLine } from "../rows/sanitize.ts";
import { taskTitle } from "../rows/wording.ts";
import { TASK_STATES, type TaskState, type TaskTimes } from "../timing.ts";
import { axis, legend, TIMELINE_PHASES, timelineBar } from "./charts.ts";
import { countCell, elapsedCell, type Html, html, outcomeBadge } from "./page.ts";
import type { ReportData, ReportHost } from "./report-data.ts";

/** A row takes about a kilobyte. */
const MAX_HOSTS = 400;

const COUNT_TITLES: Readonly<Record<keyof Tally, string>> = {
  unchanged: "Unchanged",
  changed: "Changed",
  skipped: "Skipped",
  failed: "Failed",
  ignored: "Ignored",
  rescued: "Rescued",
  notExecuted: "Not executed",
};

/** The table of hosts, with a waterfall of each host's phases. */
export function hostsSection({ hosts, elapsedMs, summary }: ReportData): Html {
  const shown = shownHosts(hosts);
  const counts = shownCounts(summary.tally);
  const used = TIMELINE_PHASES.filter((phase) =>
    shown.some(({ segments }) => segments.some((segment) => segment.phase === phase)),
  );
  return html`${legend(used)}
${shown.length < hosts.length && html`<p class="note">${shown.length} of ${hosts.length} hosts are shown: those that were not ok, then the slowest.</p>`}
${hostTable(
  { counts, fullMs: elapsedMs, stateTitle: "Outcome", caption: "how each ended" },
  shown.map((host) => ({ host: host.host, cells: hostCells(host, elapsedMs, counts) })),
)}
<details><summary>Phases of each host, in numbers</summary>
${phaseTable(shown)}</details>`;
}

/** The columns of a table of hosts. */
export interface HostColumns {
  readonly counts: readonly (keyof Tally)[];
  /** The time from end to end of a waterfall, in milliseconds. */
  readonly fullMs: number;
  /** The heading of the second column. */
  readonly stateTitle: string;
  /** The meaning of that column, for screen readers. */
  readonly caption: string;
}

/** Return the counts that have a column: the rare ones only where there are some. */
export function shownCounts(tally: Tally): readonly (keyof Tally)[] {
  return TALLY_KEYS.filter((key) => !isRare(key) || tally[key] > 0);
}

/** A table of hosts. The cells of a row are those of {@link hostCells}. */
export function hostTable(
  { counts, fullMs, stateTitle, caption }: HostColumns,
  rows: readonly { readonly host: string; readonly cells: readonly Html[] }[],
): Html {
  return html`<div class="scroll" role="region" aria-label="Table of hosts" tabindex="0">
<table class="hosts" data-sortable data-found="host">
<caption class="vh">Hosts: ${caption}, when it was at what, and what its actions came to</caption>
<thead><tr><th scope="col">Host</th><th scope="col">${stateTitle}</th><th scope="col" class="wide" data-sort="start"><span>Waterfall</span>${axis(fullMs)}</th><th scope="col" class="n">Time</th>${counts.map((key) => html`<th scope="col" class="n">${COUNT_TITLES[key]}</th>`)}</tr></thead>
<tbody>
${rows.map(({ host, cells }) => hostRow(safeLine(host), cells))}</tbody>
</table>
</div>`;
}

// The script finds the host's tasks by this name.
function hostRow(name: string, cells: readonly Html[]): Html {
  return html`<tr data-host="${name}"><th scope="row">${name}</th>${cells}</tr>
`;
}

/**
 * The cells of a host behind its name: outcome, waterfall, time and counts. `state` is shown instead of the outcome; a
 * host that has not ended has no time then, because each moment would be another.
 */
export function hostCells(
  host: ReportHost,
  fullMs: number,
  counts: readonly (keyof Tally)[],
  state?: Html,
): readonly Html[] {
  const { segments, tally, outcome } = host;
  return [
    html`<td>${state ?? outcomeBadge(outcome)}</td>`,
    html`<td class="wide" data-v="${Math.round(segments[0]?.fromMs ?? 0)}">${
      segments.length > 0 && timelineBar(segments, fullMs, barLabel(host))
    }</td>`,
    elapsedCell(state !== undefined && outcome === "open" ? undefined : host.elapsedMs),
    ...counts.map((key) => countCell(tally[key], key)),
  ];
}

/** The hosts that fit on the page, in the inventory's order. */
export function shownHosts(hosts: readonly ReportHost[]): readonly ReportHost[] {
  if (hosts.length <= MAX_HOSTS) return hosts;
  const kept = new Set(
    [...hosts]
      .sort(
        (one, other) =>
          Number(one.outcome === "ok") - Number(other.outcome === "ok") || other.elapsedMs - one.elapsedMs,
      )
      .slice(0, MAX_HOSTS),
  );
  return hosts.filter((host) => kept.has(host));
}

function barLabel({ segments, phases, outcome }: ReportHost): string {
  const from = formatDuration(segments[0]?.fromMs ?? 0);
  const to = formatDuration(segments.at(-1)?.toMs ?? 0);
  const told = PHASES.filter((phase) => phases[phase] !== undefined).map(
    (phase) => `${phase} ${formatDuration(phases[phase] ?? 0)}`,
  );
  const range = `from ${from} to ${outcome === "open" ? "now" : to}`;
  return told.length === 0 ? range : `${range}: ${told.join(", ")}`;
}

function phaseTable(hosts: readonly ReportHost[]): Html {
  return html`<div class="scroll" role="region" aria-label="Table of phases of each host" tabindex="0">
<table data-sortable data-found="host">
<caption class="vh">How long each host was at each phase, in seconds</caption>
<thead><tr><th scope="col">Host</th>${PHASES.map((phase) => html`<th scope="col" class="n">${phase}</th>`)}</tr></thead>
<tbody>
${hosts.map(
  ({ host, phases }) =>
    html`<tr><th scope="row">${host}</th>${PHASES.map((phase) => secondsCell(phases[phase]))}</tr>
`,
)}</tbody></table></div>`;
}

function secondsCell(elapsedMs: number | undefined): Html {
  return elapsedMs === undefined
    ? html`<td class="n none">–</td>`
    : html`<td class="n">${(elapsedMs / 1000).toFixed(2)}</td>`;
}

/** The letter of each state in the data of a page; a full stop stands for a task that was not reached. */
const LETTERS: Readonly<Record<TaskState, string>> = {
  unchanged: "u",
  changed: "c",
  skipped: "s",
  unknown: "k",
  ignored: "i",
  failed: "f",
};

/** The limit on entries of all hosts together; a page with more leaves the tasks of each host out. */
const MAX_ENTRIES = 60_000;

/** The tasks of each host in a compact form; the page's script shows them when a host is opened. */
interface HostDetails {
  readonly states: Readonly<Record<string, string>>;
  /** Title and action. */
  readonly tasks: readonly (readonly [title: string, action: string])[];
  /** By host: a letter for each task, and milliseconds for each that was reached, in the same order. */
  readonly hosts: Readonly<Record<string, readonly [letters: string, elapsedMs: readonly number[]]>>;
}

/** Pack the tasks of hosts. */
export function packHostDetails(
  tasks: readonly TaskTimes[],
  hosts: readonly ReportHost[],
): HostDetails | undefined {
  if (tasks.length * hosts.length > MAX_ENTRIES) return undefined;
  const ends = tasks.map((task) => new Map(task.ends.map((end) => [end.host, end])));
  return {
    states: Object.fromEntries(TASK_STATES.map((state) => [LETTERS[state], state])),
    tasks: tasks.map((task) => [
      `${taskTitle(task)}${task.nth > 1 ? ` (${task.nth})` : ""}`,
      safeLine(task.action),
    ]),
    hosts: Object.fromEntries(
      hosts.map(({ host }) => {
        const own = ends.map((each) => each.get(host));
        const letters = own.map((end) => (end === undefined ? "." : LETTERS[end.state])).join("");
        const elapsed = own.flatMap((end) => (end === undefined ? [] : [Math.round(end.elapsedMs)]));
        return [safeLine(host), [letters, elapsed]];
      }),
    ),
  };
}
