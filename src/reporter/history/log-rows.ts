import type { HostEnd } from "../../core/events.ts";
import type { Result } from "../../core/result.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import { count, formatElapsed } from "../rows/amounts.ts";
import { errorRows, outputRows, taskDetails } from "../rows/details.ts";
import { padText } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, rowText, type Style, segment } from "../rows/row.ts";
import { safeLine, safeLines } from "../rows/sanitize.ts";
import { CHECK_MODE, outcomeWording, resultWording, type Symbols, taskTitle } from "../rows/wording.ts";
import type { HostTask, RecordedTask, RunHistory } from "./history.ts";

/** The view of a log. */
export interface LogView {
  readonly symbols: Symbols;
  /** The hosts to show, in the run's order. */
  readonly hosts: ReadonlySet<string>;
  /** Return whether to show a result. Default: all. */
  readonly wants?: (task: RecordedTask["task"], result: Result) => boolean;
  /** Show only hosts whose part went wrong at the end. */
  readonly onlyBadEnds: boolean;
  /** Show differences, and the output of all tasks, not of failed ones alone. */
  readonly details: boolean;
}

const STATE_COLUMNS = 13;
const INDENT = "    ";

/** Return a run's log as rows: each task once for all hosts on which it ended alike, below it their names as a node set. */
export function logRows(history: RunHistory, view: LogView): readonly Row[] {
  const { hosts, symbols } = view;
  const shownHosts = history.hosts.filter((host) => hosts.has(host));
  const isWhole = shownHosts.length === history.hosts.length;
  const scope = isWhole
    ? count(history.hosts.length, "host")
    : `${formatNodeSet(shownHosts)} of ${count(history.hosts.length, "host")}`;
  return [
    [
      segment(safeLine(history.playbook), BOLD),
      segment(` on ${safeLine(scope)}, ${new Date(history.startedAt).toLocaleString("sv")}`),
      segment(`  ${safeLine(history.run)}`, DIM),
    ],
    ...(history.check ? [line(CHECK_MODE, { color: "magenta", bold: true })] : []),
    ...playRows(history.tasks, view),
    ...noteRows(history, view),
    ...endRows(
      shownHosts.flatMap((host) => history.ends.get(host) ?? []),
      view,
    ),
    ...(history.summary === undefined
      ? [line("The log has no end: the run goes on, or its controller was ended.", DIM)]
      : [
          line(
            `exit code ${history.summary.exitCode}, in ${formatElapsed(history.summary.elapsedMs)}`,
            history.summary.exitCode === 0 ? { color: "green", bold: true } : { color: "red", bold: true },
          ),
        ]),
  ];

  function playRows(tasks: readonly RecordedTask[], shown: LogView): readonly Row[] {
    const rows: Row[] = [];
    let play: string | undefined;
    for (const task of tasks) {
      const own = taskRows(task, shown);
      if (own.length === 0) continue;
      if (task.task.play !== play) {
        play = task.task.play;
        rows.push(line(""), [segment(`${symbols.rule}${symbols.rule} `, DIM), segment(safeLine(play), BOLD)]);
      }
      rows.push(...own);
    }
    return rows;
  }
}

/** Hosts on which a task ended alike. */
interface Group {
  readonly hosts: string[];
  readonly times: number[];
  readonly first: HostTask;
  readonly details: readonly Row[];
}

function taskRows({ task, hosts }: RecordedTask, view: LogView): readonly Row[] {
  const groups = new Map<string, Group>();
  for (const host of view.hosts) {
    const own = hosts.get(host);
    if (own === undefined) continue;
    const { result } = own.end;
    if (view.wants !== undefined && !view.wants(task, result)) continue;
    const details = detailsOf(own, view);
    const { word } = resultWording(result, view.symbols);
    const key = [word, result.message ?? "", ...details.map(rowText)].join("\n");
    const group = groups.get(key) ?? { hosts: [], times: [], first: own, details };
    group.hosts.push(host);
    group.times.push(own.end.elapsedMs);
    groups.set(key, group);
  }
  return [...groups.values()]
    .sort((a, b) => b.hosts.length - a.hosts.length)
    .flatMap(({ hosts: names, times, first, details }): readonly Row[] => {
      const { result } = first.end;
      const { word, symbol, style } = resultWording(result, view.symbols);
      const message =
        result.message === undefined || result.state === "failed" ? "" : safeLines(result.message)[0];
      return [
        [
          ...stateSegments(symbol, word, style),
          segment(taskTitle(task)),
          ...(task.handler === true ? [segment(" (handler)", DIM)] : []),
          segment(`  ${timesText(times)}`, DIM),
          ...(message === "" ? [] : [segment(`  ${message}`, DIM)]),
        ],
        ...(names.length === view.hosts.size ? [] : [hostsRow(names)]),
        ...indented(details),
      ];
    });
}

function detailsOf({ end, output }: HostTask, { symbols, details }: LogView): readonly Row[] {
  const rows = taskDetails(end, { symbols, diff: details, output: details ? output : output.slice(-10) });
  // taskDetails shows the output of failed tasks.
  return details && end.result.state !== "failed" ? [...rows, ...outputRows(output, symbols.gutter)] : rows;
}

function stateSegments(symbol: string, word: string, style: Style): Row {
  return [segment(padText(`${symbol} ${word}`, STATE_COLUMNS), style), segment(" ")];
}

function hostsRow(names: readonly string[]): Row {
  const text = safeLine(formatNodeSet(names));
  return [
    segment(INDENT),
    segment(text, BOLD),
    ...(names.length === 1 ? [] : [segment(`  ${count(names.length, "host")}`, DIM)]),
  ];
}

function indented(rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => [segment(INDENT), ...row]);
}

function timesText(times: readonly number[]): string {
  const [least, most] = [Math.min(...times), Math.max(...times)].map(formatElapsed);
  return least === most ? least! : `${least} to ${most}`;
}

function noteRows({ notes }: RunHistory, view: LogView): readonly Row[] {
  if (view.wants !== undefined) return [];
  const folded = new Map<
    string,
    { readonly kind: string; readonly text: string; readonly hosts: Set<string> }
  >();
  for (const { host, kind, text } of notes) {
    if (!view.hosts.has(host) || (kind === "info" && !view.details)) continue;
    const key = `${kind} ${text}`;
    const entry = folded.get(key) ?? { kind, text, hosts: new Set<string>() };
    entry.hosts.add(host);
    folded.set(key, entry);
  }
  const rows = [...folded.values()].flatMap(({ kind, text, hosts }): readonly Row[] => [
    [
      ...stateSegments(kind === "info" ? view.symbols.bullet : view.symbols.ignored, kind, {
        color: kind === "info" ? "cyan" : "yellow",
      }),
      segment(safeLine(text)),
    ],
    ...(hosts.size === view.hosts.size ? [] : [hostsRow([...hosts])]),
  ]);
  return rows.length === 0 ? [] : [line(""), ...rows];
}

/** Return how the hosts' parts ended, those that ended alike together. */
function endRows(ends: readonly HostEnd[], view: LogView): readonly Row[] {
  const folded = new Map<
    string,
    { readonly end: HostEnd; readonly hosts: string[]; readonly times: number[] }
  >();
  for (const end of ends) {
    if (view.onlyBadEnds && end.outcome === "ok") continue;
    const key = [end.outcome, ...(end.error === undefined ? [] : errorRows(end.error).map(rowText))].join(
      "\n",
    );
    const entry = folded.get(key) ?? { end, hosts: [], times: [] };
    entry.hosts.push(end.host);
    entry.times.push(end.elapsedMs);
    folded.set(key, entry);
  }
  const rows = [...folded.values()].flatMap(({ end, hosts, times }): readonly Row[] => {
    const { word, symbol, style } = outcomeWording(end.outcome, view.symbols);
    return [
      [
        ...stateSegments(symbol, word, style),
        segment(safeLine(formatNodeSet(hosts)), BOLD),
        segment(`  ${hosts.length === 1 ? "" : `${count(hosts.length, "host")}, `}${timesText(times)}`, DIM),
      ],
      ...(end.error === undefined ? [] : indented(errorRows(end.error))),
    ];
  });
  return [line(""), ...rows];
}
