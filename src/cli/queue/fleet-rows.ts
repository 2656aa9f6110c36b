import type { FleetView, LabelQueue } from "../../queue/status/fleet.ts";
import type { WorkerStatus } from "../../queue/status/worker-status.ts";
import { count, formatBytes, formatClock } from "../../reporter/rows/amounts.ts";
import { cell, textWidth, truncateRow } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, line, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";

// The tables of `volley fleet`: workers, queues and runs.

/** The layout of the tables. */
export interface FleetLayout {
  /** Infinity: nothing is cut. */
  readonly columns: number;
  readonly ellipsis: string;
  /** In ms since 1970. */
  readonly nowMs: number;
}

/** Lay out a queue and its workers. */
export function fleetRows(view: FleetView, layout: FleetLayout): readonly Row[] {
  const { workers, queues, runs } = view;
  return [
    ...(workers.length === 0
      ? [line("No worker is at work for this queue; volley worker starts one.")]
      : [...tableRows(workerTable(workers, layout), layout), totalRow(workers)]),
    ...(queues.length === 0 ? [] : [[], ...tableRows(queueTable(queues), layout)]),
    ...(runs.length === 0 ? [] : [[], ...tableRows(runTable(view, layout), layout)]),
    ...fleetWarnings(view).flatMap((text, index) => [
      ...(index === 0 ? [[]] : []),
      line(`warning: ${text}`, { color: "yellow" }),
    ]),
  ].map((row) => truncateRow(row, layout.columns, layout.ellipsis));
}

/** Return the warnings about a queue: hosts that no worker takes, and accounts that no worker has written. */
export function fleetWarnings({ queues, refused }: FleetView): readonly string[] {
  const stranded = queues.filter(
    ({ waiting, active, delayed, workers }) => workers === 0 && waiting + active + delayed > 0,
  );
  return [
    ...stranded.map(({ label, waiting, active, delayed }) => {
      const hosts = count(waiting + active + delayed, "host");
      return `${hosts} of label ${safeLine(label)}: no worker takes them (volley worker --labels ${safeLine(label)})`;
    }),
    ...(refused === 0
      ? []
      : [
          `the status of ${count(refused, "worker")} was refused: another key, a forgery, or a clock that is wrong`,
        ]),
  ];
}

interface Column {
  readonly title: string;
  /** Numbers: aligned at the right, and never cut. */
  readonly isNumber?: boolean;
  readonly style?: Style;
}

interface Table {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (string | Cell)[])[];
}

interface Cell {
  readonly text: string;
  readonly style: Style;
}

const GAP = 2;
const LEAST_WIDTH = 6;

function workerTable(workers: readonly WorkerStatus[], { nowMs }: FleetLayout): Table {
  return {
    columns: [
      ...[{ title: "WORKER", style: BOLD }, { title: "MACHINE" }, { title: "LABELS" }],
      ...["HOSTS", "DONE", "FAILED", "/MIN", "MEMORY", "UP"].map((title) => ({ title, isNumber: true })),
    ],
    rows: workers.map((worker) => [
      safeLine(worker.name),
      safeLine(worker.machine),
      safeLine(worker.labels.join(",")),
      `${worker.inFlight}/${worker.concurrency}`,
      String(worker.done),
      { text: String(worker.failed), style: worker.failed === 0 ? DIM : { color: "red" } },
      String(worker.ratePerMinute),
      formatBytes(worker.rssBytes),
      worker.isStopping
        ? { text: "stopping", style: { color: "yellow" } }
        : formatClock(nowMs - worker.startedAt),
    ]),
  };
}

function totalRow(workers: readonly WorkerStatus[]): Row {
  const sum = (value: (worker: WorkerStatus) => number): number =>
    workers.reduce((total, worker) => total + value(worker), 0);
  const inFlight = sum((worker) => worker.inFlight);
  const concurrency = sum((worker) => worker.concurrency);
  const rate = sum((worker) => worker.ratePerMinute);
  return line(
    `${count(workers.length, "worker")}: ${inFlight} of ${count(concurrency, "host")} in flight, ${rate} done in the last minute`,
    DIM,
  );
}

function queueTable(queues: readonly LabelQueue[]): Table {
  return {
    columns: [
      { title: "QUEUE", style: BOLD },
      ...["WAITING", "ACTIVE", "DELAYED", "FAILED", "WORKERS"].map((title) => ({ title, isNumber: true })),
    ],
    rows: queues.map(({ label, waiting, active, delayed, failed, workers }) => [
      safeLine(label),
      ...[waiting, active, delayed, failed, workers].map(String),
    ]),
  };
}

function runTable({ runs }: FleetView, { nowMs }: FleetLayout): Table {
  return {
    columns: [
      { title: "RUN", style: BOLD },
      { title: "STARTED" },
      { title: "CONTROLLER" },
      ...["HOSTS", "WORKERS", "TIME"].map((title) => ({ title, isNumber: true })),
    ],
    rows: runs.map(({ run, startedAt, hasController, inFlight, workers }) => [
      safeLine(run),
      new Date(startedAt).toLocaleString("sv"),
      hasController ? "at work" : { text: "gone", style: { color: "yellow" } },
      String(inFlight),
      String(workers),
      formatClock(nowMs - startedAt),
    ]),
  };
}

/** Lay out a table. Where it is too wide, its widest columns of text become narrower. */
function tableRows({ columns, rows }: Table, { columns: room, ellipsis }: FleetLayout): readonly Row[] {
  const cells = rows.map((row) =>
    row.map(
      (each, at): Cell => (typeof each === "string" ? { text: each, style: columns[at]!.style ?? {} } : each),
    ),
  );
  const widths = columns.map(({ title }, at) =>
    Math.max(textWidth(title), ...cells.map((row) => textWidth(row[at]!.text))),
  );
  const gaps = GAP * (columns.length - 1);
  for (;;) {
    const excess = widths.reduce((sum, width) => sum + width, gaps) - room;
    const texts = columns.flatMap(({ isNumber }, at) => (isNumber === true ? [] : [at]));
    const widest = texts.reduce((most, at) => (widths[at]! > widths[most]! ? at : most), texts[0]!);
    if (excess <= 0 || widths[widest]! <= LEAST_WIDTH) break;
    widths[widest]!--;
  }
  const rowOf = (each: readonly Cell[]): Row =>
    each.flatMap(({ text, style }, at) => [
      ...(at === 0 ? [] : [segment(" ".repeat(GAP))]),
      cell(text, widths[at]!, {
        ellipsis,
        style,
        ...(columns[at]!.isNumber === true ? { right: true } : {}),
      }),
    ]);
  return [columns.map(({ title }) => ({ text: title, style: DIM })), ...cells].map(rowOf);
}
