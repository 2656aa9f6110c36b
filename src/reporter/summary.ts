import type { SerializedError } from "../core/errors.ts";
import type { Event, HostSummary, Outcome, Summary } from "../core/events.ts";
import { formatTally, isRare, TALLY_KEYS, type Tally, tallyTotal } from "../core/result.ts";
import { count, formatElapsed } from "./rows/amounts.ts";
import { errorRows, outputRows } from "./rows/details.ts";
import { cell, textWidth, truncateRow } from "./rows/layout.ts";
import { BOLD, DIM, line, type Row, type Segment, type Style, segment } from "./rows/row.ts";
import { safeLine } from "./rows/sanitize.ts";
import { CHECK_MODE, foldHostNames, outcomeWording, type Symbols, taskTitle } from "./rows/wording.ts";

/** The options of a printed summary. */
interface SummaryContext {
  readonly columns: number;
  readonly symbols: Symbols;
  /** The number of results that check mode could not know, per host; the skipped ones include them. */
  readonly unknown: ReadonlyMap<string, number>;
}

/** Return the summary of a run: the table, a line for each of a few hosts, the failures, the fleet's line. */
export function summaryRows(summary: Summary, { columns, symbols, unknown }: SummaryContext): readonly Row[] {
  const failures = failureRows(groupFailures(summary), symbols);
  // The counts of a single host are those of the fleet: one line is enough.
  const single = summary.hosts.length === 1 ? summary.hosts[0] : undefined;
  const isListed = single === undefined && summary.hosts.length <= MAX_SINGLE_ROWS;
  const bad = summary.exitCode !== 0;
  return [
    line(""),
    [
      segment(safeLine(summary.playbook), BOLD),
      ...(summary.check ? [segment("  "), segment(CHECK_MODE, { color: "magenta", bold: true })] : []),
    ],
    ...(single === undefined ? tableRows(summary, columns, symbols) : []),
    ...(isListed
      ? [
          line(""),
          ...summary.hosts.map(({ host, tally, elapsedMs }) =>
            line(`${safeLine(host)}: ${formatTally(tally, elapsedMs)}`),
          ),
        ]
      : []),
    ...(failures.length === 0 ? [] : [line(""), ...failures]),
    line(""),
    ...unknownRows(unknown, symbols),
    ...(bad && summary.logFile !== undefined
      ? [line(`The whole log is in ${safeLine(summary.logFile)}`)]
      : []),
    line(
      outcomesText(summary.outcomes, summary.hosts.length),
      bad ? { color: "red", bold: true } : { color: "green", bold: true },
    ),
    single === undefined
      ? [segment("fleet: ", BOLD), segment(formatTally(summary.tally, summary.elapsedMs))]
      : [segment(`${safeLine(single.host)}: `, BOLD), segment(formatTally(single.tally, single.elapsedMs))],
    ...(summary.check ? [line(CHECK_MODE, { color: "magenta", bold: true })] : []),
  ];
}

function unknownRows(unknown: ReadonlyMap<string, number>, symbols: Symbols): readonly Row[] {
  const total = [...unknown.values()].reduce((sum, each) => sum + each, 0);
  if (total === 0) return [];
  const text = `${symbols.unknown} ${count(total, "result")} on ${count(unknown.size, "host")} cannot be known without running; counted as skipped`;
  return [line(text, { color: "magenta" })];
}

/** Up to this many hosts have a row each; more share rows by equal counts. */
const MAX_SINGLE_ROWS = 20;

const TITLES: Readonly<Record<keyof Tally, readonly [full: string, short: string]>> = {
  unchanged: ["unchanged", "unch"],
  changed: ["changed", "chg"],
  skipped: ["skipped", "skip"],
  failed: ["failed", "fail"],
  ignored: ["ignored", "ign"],
  rescued: ["rescued", "resc"],
  notExecuted: ["not executed", "not run"],
};
const STYLES: Readonly<Record<keyof Tally, Style>> = {
  unchanged: { color: "green" },
  changed: { color: "yellow" },
  skipped: { color: "cyan" },
  failed: { color: "red", bold: true },
  ignored: { color: "red" },
  rescued: { color: "magenta" },
  notExecuted: { color: "magenta" },
};
const OUTCOME_COLUMNS = 13;
const MIN_NAME_COLUMNS = 12;
const OUTCOME_ORDER = { ok: 0, cancelled: 1, lost: 2, unreachable: 3, failed: 4 } as const;

interface TableLine {
  readonly hosts: readonly HostSummary[];
}

/** Return the columns of a tally: every table and total of a run shows these states, in this order. */
export function tallyColumns(wide: boolean): readonly { key: keyof Tally; title: string; style: Style }[] {
  return TALLY_KEYS.map((key) => ({ key, title: TITLES[key][wide ? 0 : 1], style: STYLES[key] }));
}

/** Return the table of hosts and counts, the worst last; many hosts share rows by equal counts. */
function tableRows(summary: Summary, columns: number, symbols: Symbols): readonly Row[] {
  const fold = summary.hosts.length > MAX_SINGLE_ROWS;
  const lines = tableLines(summary, fold);
  const digits = String(summary.hosts.length).length;
  const names = lines.map(({ hosts }) => {
    const name = foldHostNames(hosts.map(({ host }) => safeLine(host)));
    return fold ? `${String(hosts.length).padStart(digits)}  ${name}` : name;
  });
  const times = lines.map(({ hosts }) => elapsedRange(hosts, symbols));
  const timeWidth = Math.max(4, ...times.map(textWidth));
  const isTold = ({ key }: { readonly key: keyof Tally }): boolean =>
    lines.some(({ hosts: [host] }) => (host?.tally[key] ?? 0) > 0);
  const all = tallyColumns(columns >= 100)
    .filter((column) => !isRare(column.key) || isTold(column))
    .map((column) => ({ ...column, width: Math.max(6, column.title.length + 2) }));
  const told = all.filter(isTold);
  const widthOf = (counts: typeof all, time: number): number =>
    MIN_NAME_COLUMNS + 2 + OUTCOME_COLUMNS + counts.reduce((sum, { width }) => sum + width, 0) + time;
  // A narrow terminal leaves out counts that are 0 everywhere, then times, then all counts.
  const forms = [
    { counts: all, time: timeWidth + 2 },
    { counts: told, time: timeWidth + 2 },
    { counts: told, time: 0 },
  ];
  const { counts, time } = forms.find((form) => widthOf(form.counts, form.time) <= columns) ?? {
    counts: [],
    time: 0,
  };
  const fixed = widthOf(counts, time) - MIN_NAME_COLUMNS;
  const nameWidth = Math.min(
    Math.max(5, ...names.map(textWidth)),
    Math.max(MIN_NAME_COLUMNS, columns - fixed),
  );
  const { ellipsis } = symbols;
  const titles: Row = [
    cell(fold ? "hosts" : "host", nameWidth + 2, { ellipsis, style: BOLD }),
    cell("outcome", OUTCOME_COLUMNS, { ellipsis, style: BOLD }),
    ...counts.map(({ title, width }) => cell(title, width, { ellipsis, right: true, style: BOLD })),
    ...(time === 0 ? [] : [cell("time", time, { ellipsis, right: true, style: BOLD })]),
  ];
  const rows = lines.map(({ hosts }, index): Row => {
    const host = hosts[0] as HostSummary;
    const { word, symbol, style } = outcomeWording(host.outcome, symbols);
    return [
      cell(names[index] ?? "", nameWidth, { ellipsis }),
      segment("  "),
      cell(`${symbol} ${word}`, OUTCOME_COLUMNS, { ellipsis, style }),
      ...counts.map((column) => countCell(host.tally[column.key], column.width, column.style)),
      ...(time === 0 ? [] : [cell(times[index] ?? "", time, { ellipsis, right: true, style: DIM })]),
    ];
  });
  return [titles, ...rows].map((row) => truncateRow(row, columns, ellipsis));
}

function countCell(amount: number, width: number, style: Style): Segment {
  return cell(String(amount), width, { right: true, ellipsis: "", style: amount === 0 ? DIM : style });
}

function tableLines(summary: Summary, fold: boolean): readonly TableLine[] {
  const lines = new Map<string, HostSummary[]>();
  for (const host of summary.hosts) {
    const key = fold ? JSON.stringify([host.outcome, TALLY_KEYS.map((each) => host.tally[each])]) : host.host;
    const same = lines.get(key);
    if (same === undefined) lines.set(key, [host]);
    else same.push(host);
  }
  return [...lines.values()]
    .map((hosts) => ({ hosts }))
    .sort((one, other) => rank(one) - rank(other) || (fold ? other.hosts.length - one.hosts.length : 0));
}

function rank({ hosts }: TableLine): number {
  return OUTCOME_ORDER[hosts[0]?.outcome ?? "ok"];
}

function elapsedRange(hosts: readonly HostSummary[], symbols: Symbols): string {
  const times = hosts.map(({ elapsedMs }) => elapsedMs);
  const [least, most] = [formatElapsed(Math.min(...times)), formatElapsed(Math.max(...times))];
  return least === most ? most : `${least}${symbols.range}${most}`;
}

/** `200 hosts: 195 ok, 3 failed, 2 unreachable`, without outcomes that did not occur. */
function outcomesText(outcomes: Summary["outcomes"], hosts: number): string {
  const parts = (["ok", "failed", "unreachable", "lost", "cancelled"] as const)
    .filter((outcome) => outcomes[outcome] > 0)
    .map((outcome) => `${outcomes[outcome]} ${outcome}`);
  return `${count(hosts, "host")}${parts.length === 0 ? "" : `: ${parts.join(", ")}`}`;
}

const MAX_GROUPS = 25;
const MAX_OUTPUT_LINES = 10;
const INDENT = segment("    ");

/** Return the failures, each once with its hosts. */
function failureRows(groups: readonly FailureGroup[], symbols: Symbols): readonly Row[] {
  const shown = groups.slice(-MAX_GROUPS);
  return [
    ...(groups.length > shown.length
      ? [line(`(${count(groups.length - shown.length, "rarer failure")} not shown)`, DIM), line("")]
      : []),
    ...shown.flatMap((group, index) => [...(index === 0 ? [] : [line("")]), ...groupRows(group, symbols)]),
  ];
}

function groupRows(group: FailureGroup, symbols: Symbols): readonly Row[] {
  const { word, symbol, style } = outcomeWording(group.outcome, symbols);
  const names = group.hosts.map(safeLine);
  const title: Row = [
    segment(`${symbol} `, style),
    segment(foldHostNames(names), BOLD),
    segment(names.length > 1 ? ` (${names.length} hosts)` : ""),
    segment(` ${group.outcome === "cancelled" ? "" : `${word}: `}`, style),
    segment(group.task ?? explanation(group)),
  ];
  const details = [
    ...(group.error === undefined ? [] : errorRows(group.error)),
    ...outputRows(group.output.slice(-MAX_OUTPUT_LINES), symbols.gutter),
  ];
  const note =
    group.identical || details.length === 0
      ? []
      : [line(`on ${names[0]}; the others say the same of themselves:`, DIM)];
  return [title, ...[...note, ...details].map((row): Row => [INDENT, ...row])];
}

function explanation({ outcome, hosts, started }: FailureGroup): string {
  const [it, its, was] = hosts.length === 1 ? ["it", "its", "was"] : ["they", "their", "were"];
  switch (outcome) {
    case "unreachable":
      return "no task was run there";
    case "lost":
      return `the end of ${its} run was not seen; what ${it} ${was} doing may have gone on`;
    case "cancelled":
      return `${was} cancelled ${started ? "before the end" : `before ${it} started`}`;
    case "failed":
      return "before or between tasks";
  }
}

/** Counts, per host, the results that check mode could not know. */
interface UnknownResults {
  add(event: Event): void;
  readonly counts: ReadonlyMap<string, number>;
}

/** Start counting. */
export function countUnknownResults(): UnknownResults {
  const counts = new Map<string, number>();
  return {
    counts,
    add(event) {
      if (event.type !== "task:end" || event.result.unknown !== true) return;
      counts.set(event.host, (counts.get(event.host) ?? 0) + 1);
    },
  };
}

/** Warnings and notices of hosts beside their tasks, each once with its hosts. */
export interface Remarks {
  add(event: Event): void;
  /** Return rows for a screen that is gone, on which nobody had to see the texts. */
  rows(): readonly Row[];
}

/** A run whose hosts all say something else leaves the rest to its log. */
const MAX_REMARKS = 10;

/** Collect warnings and notices while a run goes on. */
export function collectRemarks(): Remarks {
  const remarks = new Map<string, { readonly style: Style; readonly hosts: Set<string> }>();
  return {
    add(event) {
      if (event.type !== "log" || event.level === "info") return;
      const isWarning = event.level === "warn";
      const told = `${isWarning ? "warning" : "notice"}: ${safeLine(event.text)}`;
      const remark = remarks.get(told) ?? { style: isWarning ? { color: "yellow" } : {}, hosts: new Set() };
      remark.hosts.add(safeLine(event.host));
      remarks.set(told, remark);
    },
    rows() {
      if (remarks.size === 0) return [];
      const more = remarks.size - MAX_REMARKS;
      return [
        line(""),
        ...[...remarks]
          .slice(0, MAX_REMARKS)
          .map(([told, { style, hosts }]) => line(`${foldHostNames([...hosts])}: ${told}`, style)),
        ...(more > 0 ? [line(`and ${count(more, "more remark")} in the log of the run`, DIM)] : []),
      ];
    },
  };
}

/** Hosts with the same failure. */
export interface FailureGroup {
  /** Tells the group from others of the run, also when more hosts join it. */
  readonly key: string;
  readonly hosts: readonly string[];
  /** `failed` for a task that failed; else the outcome of the hosts. */
  readonly outcome: Exclude<Outcome, "ok">;
  /** The task that failed; absent when the host itself did. */
  readonly task?: string;
  /** The error of the first host; absent when a host was cancelled without a reason. */
  readonly error?: SerializedError;
  /** False when the hosts ended before any of their tasks was known. */
  readonly started: boolean;
  /** The last lines printed on the first of the hosts. */
  readonly output: readonly string[];
  /** True when all hosts have exactly the same message. */
  readonly identical: boolean;
}

type Entry = Omit<FailureGroup, "key" | "hosts" | "identical"> & { readonly host: string };

/** Group the failures of a run, equal ones of many hosts once; the most widespread last, nearest the prompt. */
export function groupFailures(summary: Summary): readonly FailureGroup[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of summary.hosts.flatMap(entriesOf)) {
    const key = JSON.stringify([
      entry.outcome,
      entry.task,
      entry.started,
      entry.error?.code,
      commonForm(entry),
    ]);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups].map(toGroup).sort(byWeight);
}

function entriesOf(host: HostSummary): readonly Entry[] {
  const failures = host.failures.map(
    ({ role, name, error, output }): Entry => ({
      host: host.host,
      outcome: "failed",
      task: taskTitle({ role, name }),
      error,
      started: true,
      output,
    }),
  );
  const { outcome, error } = host;
  if (outcome === "ok") return failures;
  const alreadyTold =
    outcome === "failed" &&
    failures.length > 0 &&
    (error === undefined || failures.some((failure) => failure.error?.message === error.message));
  if (alreadyTold) return failures;
  const started = tallyTotal(host.tally) > 0;
  return [
    ...failures,
    { host: host.host, outcome, started, ...(error === undefined ? {} : { error }), output: [] },
  ];
}

/** Return the message without the host's name and addresses, which differ from host to host. */
function commonForm({ host, error }: Entry): string {
  return (error?.message ?? "").replaceAll(host, "HOST").replace(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g, "ADDRESS");
}

function toGroup([key, entries]: readonly [key: string, entries: readonly Entry[]]): FailureGroup {
  const [{ host: _, ...first }] = entries as readonly [Entry, ...Entry[]];
  return {
    key,
    ...first,
    hosts: entries.map(({ host }) => host),
    identical: entries.every(({ error }) => error?.message === first.error?.message),
  };
}

const WEIGHT: Readonly<Record<FailureGroup["outcome"], number>> = {
  cancelled: 0,
  lost: 1,
  unreachable: 1,
  failed: 2,
};

function byWeight(one: FailureGroup, other: FailureGroup): number {
  return WEIGHT[one.outcome] - WEIGHT[other.outcome] || one.hosts.length - other.hosts.length;
}
