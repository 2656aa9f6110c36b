import {
  type Event,
  type HostSummary,
  PHASES,
  type Phase,
  type Summary,
  type TaskRef,
} from "../core/events.ts";
import type { Result, State } from "../core/result.ts";
import {
  colorsWanted,
  createTextWriter,
  type Environment,
  type Reporter,
  unicodeWanted,
} from "./reporter.ts";
import { count, formatDuration } from "./rows/amounts.ts";
import { cell, textWidth } from "./rows/layout.ts";
import { BOLD, DIM, line, paintRow, type Row, type Segment, segment } from "./rows/row.ts";
import { safeLine } from "./rows/sanitize.ts";
import { ASCII_SYMBOLS, taskTitle, UNICODE_SYMBOLS } from "./rows/wording.ts";

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

/** The state of a task on a host; ignored failures and unknown results are states of their own. */
export type TaskState = State | "ignored" | "unknown";

/** The states in the order of the page. */
export const TASK_STATES = ["unchanged", "changed", "skipped", "unknown", "ignored", "failed"] as const;

/** A task on one host. */
interface TaskEnd {
  readonly host: string;
  readonly state: TaskState;
  readonly elapsedMs: number;
  /** False for a task that was skipped, done by another host, or done in an earlier run. */
  readonly worked: boolean;
}

/** The times of a task over all hosts. */
export interface TaskTimes {
  readonly play: string;
  readonly role: string;
  readonly name: string;
  readonly action: string;
  readonly handler: boolean;
  /** Number among the tasks of the same play, role and name, counted from 1. */
  readonly nth: number;
  readonly ends: readonly TaskEnd[];
  readonly states: Readonly<Partial<Record<TaskState, number>>>;
  /** Milliseconds on the hosts that executed the task. */
  readonly elapsed: Spread;
  /** The slowest host; undefined where none executed the task. */
  readonly slowest: string | undefined;
}

/** Folds a run's events into tasks over all hosts. */
interface TaskTimesFold {
  add(event: Event): void;
  /** Return the tasks in the order of their first event. */
  tasks(): readonly TaskTimes[];
}

type Entry = Omit<TaskTimes, "action" | "ends" | "states" | "elapsed" | "slowest"> & {
  action: string;
  readonly ends: TaskEnd[];
};

/** Start a fold. */
export function foldTaskTimes(): TaskTimesFold {
  const entries = new Map<string, Entry>();
  const seen = new Map<string, number>();
  return {
    add(event) {
      if (event.type !== "task:end") return;
      const { host, result, elapsedMs } = event;
      const key = keyOf(event);
      const nth = (seen.get(`${host}\0${key}`) ?? 0) + 1;
      seen.set(`${host}\0${key}`, nth);
      let entry = entries.get(`${nth}\0${key}`);
      if (entry === undefined) {
        const { play, role, name, handler = false } = event;
        entry = { play, role, name, action: "", handler, nth, ends: [] };
        entries.set(`${nth}\0${key}`, entry);
      }
      // A skipped task whose action is made late has no name of the action.
      entry.action ||= event.action;
      entry.ends.push({ host, state: taskState(result), elapsedMs, worked: hasWorked(result) });
    },
    tasks: () => [...entries.values()].map(timesOf),
  };
}

/** Return the state of a result. */
function taskState({ state, ignored, unknown }: Pick<Result, "state" | "ignored" | "unknown">): TaskState {
  if (unknown === true) return "unknown";
  return state === "failed" && ignored === true ? "ignored" : state;
}

/** Sort tasks by their total time, the slowest first. */
export function bySlowness(tasks: readonly TaskTimes[]): readonly TaskTimes[] {
  return [...tasks].sort((one, other) => other.elapsed.total - one.elapsed.total);
}

function hasWorked({ state, from, resumed }: Result): boolean {
  return state !== "skipped" && from === undefined && resumed !== true;
}

function keyOf({ play, role, name, handler = false }: TaskRef): string {
  return JSON.stringify([play, role, name, handler]);
}

function timesOf(entry: Entry): TaskTimes {
  const states: Partial<Record<TaskState, number>> = {};
  for (const { state } of entry.ends) states[state] = (states[state] ?? 0) + 1;
  const worked = entry.ends.filter((end) => end.worked);
  const elapsed = spreadOf(worked.map(({ elapsedMs }) => elapsedMs));
  return { ...entry, states, elapsed, slowest: worked.find((end) => end.elapsedMs === elapsed.max)?.host };
}

/** The meaning of each phase. */
export const PHASE_MEANINGS: Readonly<Record<Phase, string>> = {
  connect: "TCP and the key exchange",
  authenticate: "logging in",
  upload: "finding that the bundle is not there, and sending it",
  start: "finding the bundle, and Node beginning it",
  facts: "gathering facts",
  tasks: "carrying out tasks",
  wait: "waiting for the other hosts at the end of a play",
  collect: "receiving the rest, and disconnecting",
};

/** A part of a compared run's time: the build, or a phase of a host's run. */
export type ComparedPhase = "build" | Phase;

/** The parts in the order they come. */
export const COMPARED_PHASES: readonly ComparedPhase[] = ["build", ...PHASES];

/** The times of a phase over all hosts that reached it. */
interface PhaseTimes {
  readonly phase: Phase;
  /** Milliseconds. */
  readonly elapsed: Spread;
  readonly slowest: string;
}

/** Return the phases of hosts, without those that no host reached. */
export function phaseTimes(hosts: readonly Pick<HostSummary, "host" | "phases">[]): readonly PhaseTimes[] {
  return PHASES.flatMap((phase): readonly PhaseTimes[] => {
    const told = hosts.flatMap(({ host, phases }) => {
      const elapsedMs = phases[phase];
      return elapsedMs === undefined ? [] : [{ host, elapsedMs }];
    });
    const elapsed = spreadOf(told.map(({ elapsedMs }) => elapsedMs));
    const slowest = told.find(({ elapsedMs }) => elapsedMs === elapsed.max);
    return slowest === undefined ? [] : [{ phase, elapsed, slowest: slowest.host }];
  });
}

/** A distribution of values; all 0 without values. */
export interface Spread {
  readonly count: number;
  readonly total: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Return the distribution of values. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((one, other) => one - other);
  return {
    count: sorted.length,
    total: sorted.reduce((sum, value) => sum + value, 0),
    min: sorted[0] ?? 0,
    median: quantile(sorted, 0.5),
    max: sorted.at(-1) ?? 0,
  };
}

/** Return a quantile of sorted values, interpolated between neighbours (Hyndman and Fan's type 7, the usual one); 0 without values. */
export function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? 0;
  const above = sorted[Math.ceil(place)] ?? below;
  return below + (above - below) * (place - Math.floor(place));
}
