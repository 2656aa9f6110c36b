import type { Event, Summary } from "../../core/events.ts";
import { colorsWanted, createTextWriter, type Environment, type Reporter, unicodeWanted } from "../output.ts";
import { count, formatDuration } from "../rows/amounts.ts";
import { cell, textWidth } from "../rows/layout.ts";
import { BOLD, DIM, line, paintRow, type Row, type Segment, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { ASCII_SYMBOLS, taskTitle, UNICODE_SYMBOLS } from "../rows/wording.ts";
import { bySlowness, foldTaskTimes, phaseTimes, type TaskTimes } from "./times.ts";

const DEFAULT_COLUMNS = 120;

/** Extend a reporter by tables of times, printed after everything else. */
export function addTiming(
  reporter: Reporter,
  { stdout, env }: { readonly stdout: NodeJS.WriteStream; readonly env: Environment },
): Reporter {
  const timing = foldTiming();
  return {
    event(event) {
      timing.add(event);
      reporter.event(event);
    },
    async end(summary) {
      await reporter.end(summary);
      const { ellipsis } = unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS;
      const rows = timing.rows(summary, { columns: stdout.columns ?? DEFAULT_COLUMNS, ellipsis });
      const colors = colorsWanted(stdout, env);
      const writer = createTextWriter(stdout);
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
    close: () => reporter.close(),
  };
}

const SHOWN_TASKS = 15;
const NUMBER_COLUMNS = 10;
const MIN_TITLE_COLUMNS = 20;
const MAX_HOST_COLUMNS = 24;

/** Collects the tables of `--timing`. */
export interface TimingFold {
  add(event: Event): void;
  /** Return the tables as rows for a terminal of `columns`. */
  rows(summary: Summary, options: { readonly columns: number; readonly ellipsis: string }): readonly Row[];
}

/** Start collecting. */
export function foldTiming(): TimingFold {
  const tasks = foldTaskTimes();
  let build: { readonly elapsedMs: number; readonly reused: boolean } | undefined;
  return {
    add(event) {
      tasks.add(event);
      if (event.type === "run:build") build = event;
    },
    rows(summary, { columns, ellipsis }) {
      const slowest = bySlowness(tasks.tasks()).filter(({ elapsed }) => elapsed.count > 0);
      const shown = slowest.slice(0, SHOWN_TASKS);
      const hostColumns = Math.min(
        MAX_HOST_COLUMNS,
        Math.max(12, ...summary.hosts.map(({ host }) => textWidth(safeLine(host)))),
      );
      const table = tableOf({ columns, ellipsis, hostColumns });
      const phases = phaseTimes(summary.hosts);
      return [
        line(""),
        table.head("phase", ["median", "max"], "slowest host"),
        ...(build === undefined
          ? []
          : [
              table.row(
                `build${build.reused ? " (reused)" : ""}`,
                [formatDuration(build.elapsedMs), ""],
                "once, here",
              ),
            ]),
        ...phases.map(({ phase, elapsed, slowest: host }) =>
          table.row(phase, [formatDuration(elapsed.median), formatDuration(elapsed.max)], safeLine(host)),
        ),
        ...(shown.length === 0
          ? []
          : [line(""), table.head("action", ["total", "median", "max", "hosts"], "slowest host")]),
        ...shown.map((task) => table.row(titleOf(task), numbersOf(task), safeLine(task.slowest ?? ""))),
        ...(slowest.length > shown.length
          ? [line(`(${count(slowest.length - shown.length, "faster action")} not shown)`, DIM)]
          : []),
      ];
    },
  };
}

function titleOf(task: TaskTimes): string {
  return `${taskTitle(task)} (${safeLine(task.action)}${task.handler ? ", handler" : ""})`;
}

function numbersOf({ elapsed }: TaskTimes): readonly string[] {
  return [
    formatDuration(elapsed.total),
    formatDuration(elapsed.median),
    formatDuration(elapsed.max),
    String(elapsed.count),
  ];
}

interface Table {
  head(title: string, numbers: readonly string[], host: string): Row;
  row(title: string, numbers: readonly string[], host: string): Row;
}

/** Lay both tables out for the wider one, so that their columns align. */
function tableOf({
  columns,
  ellipsis,
  hostColumns,
}: {
  readonly columns: number;
  readonly ellipsis: string;
  readonly hostColumns: number;
}): Table {
  const titleColumns = Math.max(
    MIN_TITLE_COLUMNS,
    Math.min(60, columns - 4 * NUMBER_COLUMNS - hostColumns - 2),
  );
  const rowOf = (title: string, numbers: readonly string[], host: string, style?: typeof BOLD): Row => [
    cell(title, titleColumns, { ellipsis, ...(style === undefined ? {} : { style }) }),
    ...numbers.map(
      (text): Segment =>
        cell(text, NUMBER_COLUMNS, { ellipsis, right: true, ...(style === undefined ? {} : { style }) }),
    ),
    segment("  "),
    cell(host, hostColumns, { ellipsis, style: style ?? DIM }),
  ];
  return {
    head: (title, numbers, host) => rowOf(title, numbers, host, BOLD),
    row: rowOf,
  };
}
