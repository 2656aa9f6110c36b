import type { Outcome } from "../../core/events.ts";
import { TALLY_KEYS } from "../../core/result.ts";
import { formatClock } from "../rows/amounts.ts";
import { rowWidth, spread, truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, type Row, type Segment, type Style, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { CHECK_MODE, cancelText, type Symbols } from "../rows/wording.ts";

import { tallyColumns } from "../summary/summary-rows.ts";
import { hasFailed } from "./host-order.ts";
import { fleetTally, type HostPhase, type RunView } from "./model.ts";
import type { ViewState } from "./view-state.ts";

/** What a frame is laid out for. */
export interface Surface {
  readonly columns: number;
  /** Rows of the terminal; a frame takes one less. */
  readonly rows: number;
  readonly symbols: Symbols;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

const SPINNER_STEP_MS = 200;

/** The top of the screen: playbook and clock, hosts and progress, the fleet's tally, and word of a cancel. */
export function headerRows(run: RunView, view: ViewState, surface: Surface): readonly Row[] {
  const { columns, symbols } = surface;
  const cancelling = run.cancelling ?? (view.cancels > 1 ? "now" : view.cancels === 1 ? "clean" : undefined);
  return [
    titleRow(run, surface),
    truncateRow(progressRow(run, surface), columns, symbols.ellipsis),
    truncateRow(run.kind === "run" ? tallyRow(run) : commandRow(run), columns, symbols.ellipsis),
    ...(cancelling === undefined
      ? []
      : [
          truncateRow(
            [segment(cancelText(cancelling), { color: "red", bold: true })],
            columns,
            symbols.ellipsis,
          ),
        ]),
  ];
}

function titleRow(run: RunView, { columns, symbols, nowMs }: Surface): Row {
  const spinner = symbols.spinner[Math.floor(nowMs / SPINNER_STEP_MS) % symbols.spinner.length] ?? "";
  const left: Row = [
    segment("volley ", DIM),
    segment(safeLine(run.playbook), BOLD),
    ...(run.check ? [segment("  "), segment(CHECK_MODE, { color: "magenta", bold: true })] : []),
  ];
  const clock = run.startedAt === undefined ? "" : formatClock((run.endedAt ?? nowMs) - run.startedAt);
  return spread(
    left,
    [segment(`${run.ended ? "" : spinner} `, { color: "cyan" }), segment(clock, BOLD)],
    columns,
    symbols.ellipsis,
  );
}

function progressRow(run: RunView, { columns, symbols }: Surface): Row {
  const total = run.hosts.length;
  const inPhase = (phase: HostPhase): number => run.hosts.filter((host) => host.phase === phase).length;
  const [done, waiting, barrier] = [inPhase("done"), inPhase("waiting"), inPhase("barrier")];
  const ended = (outcome: Outcome): number => run.hosts.filter((host) => host.outcome === outcome).length;
  const [unreachable, lost] = [ended("unreachable"), ended("lost")];
  const failed = run.hosts.filter(hasFailed).length - unreachable - lost;
  const trouble = parts([
    [failed, symbols.failed, "failed", { color: "red", bold: true }],
    [unreachable, symbols.failed, "unreachable", { color: "magenta", bold: true }],
    [lost, symbols.failed, "lost", { color: "magenta", bold: true }],
    [ended("cancelled"), symbols.cancelled, "cancelled", { color: "cyan" }],
  ]);
  const ongoing = (words: boolean): Row =>
    parts([
      [total - done - waiting - barrier, symbols.running, words ? "running" : "", { color: "yellow" }],
      [barrier, symbols.paused, words ? "at barrier" : "", { color: "cyan" }],
      [waiting, symbols.waiting, words ? "waiting" : "", DIM],
    ]);
  const start: Row = [segment("hosts "), segment(`${done}/${total}`, BOLD), segment(" done")];
  const progress = [segment(" "), ...bar(total === 0 ? 0 : done / total, columns >= 100 ? 20 : 10, symbols)];
  // What does not fit gives way: first the bar, then the words that the signs stand for.
  const forms: readonly Row[] = [
    [...start, ...progress, ...trouble, ...ongoing(true)],
    [...start, ...trouble, ...ongoing(true)],
  ];
  return forms.find((row) => rowWidth(row) <= columns) ?? [...start, ...trouble, ...ongoing(false)];
}

type Part = readonly [amount: number, sign: string, word: string, style: Style];

function parts(all: readonly Part[]): Row {
  return all
    .filter(([amount]) => amount > 0)
    .flatMap(([amount, sign, word, style]) => [
      segment("  "),
      segment(`${sign} ${amount}${word === "" ? "" : ` ${word}`}`, style),
    ]);
}

function bar(share: number, width: number, symbols: Symbols): readonly Segment[] {
  const full = Math.floor(share * width);
  return [
    segment(symbols.barFull.repeat(full), { color: "green" }),
    segment(symbols.barEmpty.repeat(width - full), DIM),
  ];
}

/** How many commands went well so far; the row above counts the others. */
function commandRow(run: RunView): Row {
  const ok = run.hosts.filter(({ outcome }) => outcome === "ok").length;
  return [segment("fleet "), segment(`${ok} ok`, ok === 0 ? DIM : { color: "green" })];
}

function tallyRow(run: RunView): Row {
  const tally = fleetTally(run);
  const unknown = run.hosts.reduce((sum, host) => sum + host.unknown, 0);
  const styles = new Map(tallyColumns(true).map(({ key, title, style }) => [key, { title, style }]));
  const parts = TALLY_KEYS.filter(
    (key) => (key !== "notExecuted" && key !== "rescued") || tally[key] > 0,
  ).map((key): Segment => {
    const { title, style } = styles.get(key) ?? { title: key, style: DIM };
    return segment(`${tally[key]} ${title}`, tally[key] === 0 ? DIM : style);
  });
  return [
    segment("fleet "),
    ...parts.flatMap((part, index) => (index === 0 ? [part] : [segment("  "), part])),
    ...(unknown === 0 ? [] : [segment("  "), segment(`${unknown} unknown`, { color: "magenta" })]),
  ];
}
