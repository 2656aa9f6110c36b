import type { Tally } from "../../core/result.ts";
import { formatClock } from "../rows/amounts.ts";
import { cell, fitRow, spread, textWidth } from "../rows/layout.ts";
import { DIM, line, type Row, type Segment, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/wording.ts";

import { tallyColumns } from "../summary/summary-rows.ts";
import { headerRows, type Surface } from "./header.ts";
import { hasFailed, listedHosts } from "./host-order.ts";
import { hostWording, progressText, statusText } from "./host-status.ts";
import type { HostView, RunView } from "./model.ts";
import type { ViewState } from "./view-state.ts";

const MIN_NAME_COLUMNS = 4;
const MAX_NAME_SHARE = 0.3;
const PROGRESS_COLUMNS = 8;
const CLOCK_COLUMNS = 8;
const NARROW_COUNT = 4;
const WIDE_COUNT = 10;
const MIN_COLUMNS_FOR_COUNTS = 60;
const WIDE = 110;
/** Below this many rows, hosts matter more than totals and titles. */
const LOW_ROWS = 10;

interface Columns {
  readonly name: number;
  readonly status: number;
  /** The width of the tasks done; 0 leaves them out. */
  readonly progress: number;
  /** The width of each count; 0 leaves them out. */
  readonly counts: number;
}

/** All hosts, one row each, as many as fit. */
export function fleetScreen(run: RunView, view: ViewState, surface: Surface): readonly Row[] {
  const { columns, rows, symbols } = surface;
  const all = headerRows(run, view, surface);
  const low = rows < LOW_ROWS;
  const header = low ? [...all.slice(0, 1), ...all.slice(3)] : all;
  const listed = listedHosts(run, view);
  const room = Math.max(0, rows - 1 - header.length - (low ? 1 : 2));
  const first = firstShown(listed, view.selected, room);
  const shown = listed.slice(first, first + room);
  const widths = columnWidths(run, surface);
  const body = shown.map((host) => hostRow(host, host.name === view.selected, widths, surface));
  const empty = listed.length === 0 && room > 0 ? [line(emptyText(run, view), DIM)] : [];
  const blanks = Array.from({ length: Math.max(0, room - body.length - empty.length) }, () => line(""));
  const position =
    listed.length > shown.length && shown.length > 0
      ? `${first + 1}-${first + shown.length} of ${listed.length}`
      : "";
  return [
    ...header,
    ...(low ? [] : [titleRow(widths, surface)]),
    ...body,
    ...empty,
    ...blanks,
    spread(footer(run, view, surface), [segment(position, DIM)], columns, symbols.ellipsis),
  ];
}

/** The index of the first host shown, so that the chosen one is in sight and near the middle. */
function firstShown(listed: readonly HostView[], selected: string | undefined, room: number): number {
  const index = listed.findIndex(({ name }) => name === selected);
  if (index < 0) return 0;
  return Math.max(0, Math.min(index - Math.floor(room / 2), listed.length - room));
}

function emptyText(run: RunView, view: ViewState): string {
  if (run.hosts.length === 0) return "preparing the run";
  if (view.filter !== "") return `no host matches "${safeLine(view.filter)}"; Esc shows all`;
  return view.failedOnly ? "no host has failed; f shows all" : "";
}

function columnWidths(run: RunView, { columns }: Surface): Columns {
  const isRun = run.kind === "run";
  const longest = run.hosts.reduce(
    (width, { name }) => Math.max(width, textWidth(safeLine(name))),
    MIN_NAME_COLUMNS,
  );
  const name = Math.min(longest, Math.floor(columns * MAX_NAME_SHARE));
  const progress = isRun ? PROGRESS_COLUMNS : 0;
  const wished = columns >= WIDE ? WIDE_COUNT : columns >= MIN_COLUMNS_FOR_COUNTS ? NARROW_COUNT : 0;
  const counts = isRun ? wished : 0;
  const fixed = 4 + name + 2 + progress + CLOCK_COLUMNS + 4 * counts;
  return { name, status: Math.max(0, columns - fixed), progress, counts };
}

const SHOWN_COUNTS = tallyColumns(true).filter(({ key }) => key !== "notExecuted" && key !== "rescued");

function titleRow(widths: Columns, { columns, symbols }: Surface): Row {
  const { ellipsis } = symbols;
  const title = (text: string, width: number, right = false): Segment =>
    cell(text, width, { ellipsis, right, style: DIM });
  const row = [
    segment("    "),
    title("host", widths.name + 2),
    title("doing", widths.status),
    ...(widths.progress === 0 ? [] : [title("tasks", widths.progress, true)]),
    title("time", CLOCK_COLUMNS, true),
    ...(widths.counts === 0
      ? []
      : SHOWN_COUNTS.map(({ key, title: word }) =>
          title(widths.counts === WIDE_COUNT ? word : tallySign(key, symbols), widths.counts, true),
        )),
  ];
  return fitRow(row, columns, ellipsis);
}

function hostRow(host: HostView, chosen: boolean, widths: Columns, surface: Surface): Row {
  const { columns, symbols, nowMs } = surface;
  const { ellipsis } = symbols;
  const { symbol, style } = hostWording(host, symbols);
  const dim = host.phase === "waiting" || (host.phase === "done" && host.outcome === "ok") ? DIM : {};
  const elapsedMs = host.elapsedMs ?? (host.startedAt === undefined ? undefined : nowMs - host.startedAt);
  const row: Row = [
    segment(chosen ? `${symbols.pointer} ` : "  ", { bold: true }),
    segment(`${symbol} `, style),
    cell(safeLine(host.name), widths.name, { ellipsis, ...(chosen ? { style: { bold: true } } : {}) }),
    segment("  "),
    cell(statusText(host), Math.max(0, widths.status - 1), {
      ellipsis,
      style: host.outcome === undefined ? dim : host.outcome === "ok" ? dim : style,
    }),
    segment(" "),
    ...(widths.progress === 0 ? [] : [cell(progressText(host), widths.progress, { ellipsis, right: true })]),
    cell(elapsedMs === undefined ? "" : formatClock(elapsedMs), CLOCK_COLUMNS, {
      ellipsis,
      right: true,
      style: DIM,
    }),
    ...(widths.counts === 0 ? [] : countCells(host, widths.counts, symbols.none)),
  ];
  const fitted = fitRow(row, columns, ellipsis);
  return chosen
    ? fitted.map((piece) => ({ ...piece, style: { ...piece.style, dim: false, inverse: true } }))
    : fitted;
}

function countCells(host: HostView, width: number, none: string): readonly Segment[] {
  return SHOWN_COUNTS.map(({ key, style }) => {
    const amount = host.tally[key];
    return cell(amount === 0 ? none : String(amount), width, {
      ellipsis: "",
      right: true,
      style: amount === 0 ? DIM : style,
    });
  });
}

function footer(run: RunView, view: ViewState, { symbols }: Surface): Row {
  if (view.typing)
    return [
      segment("/", { bold: true }),
      segment(safeLine(view.filter)),
      segment("_", { bold: true }),
      segment("  Enter keeps, Esc clears", DIM),
    ];
  const active = [
    ...(view.failedOnly ? ["failed only"] : []),
    ...(view.filter === "" ? [] : [`/${safeLine(view.filter)}`]),
  ];
  return [
    ...(active.length === 0 ? [] : [segment(`[${active.join(", ")}] `, { bold: true })]),
    segment(`${symbols.upDown} choose  Enter log  f failed  / filter  ${endKeys(run, view)}`, DIM),
  ];
}

/** The keys that end it. */
export function endKeys(run: RunView, view: ViewState): string {
  if (!view.held || !run.ended) return "? help  Ctrl-C stop";
  return run.hosts.some(hasFailed) ? "s shell on failed  q leave" : "? help  q leave";
}

function tallySign(key: keyof Tally, { ok, changed, skipped, failed, cancelled }: Symbols): string {
  return { unchanged: ok, changed, skipped, failed, rescued: failed, notExecuted: cancelled }[key];
}
