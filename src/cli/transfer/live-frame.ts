import { formatBytes, formatClock } from "../../reporter/rows/amounts.ts";
import { padText, textWidth, truncateRow, truncateText } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, type Row, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

import { signOf, styleOf } from "./end-table.ts";
import { type HostProgress, type RateMeter, remainingMs } from "./progress-model.ts";

/** What a frame is made of. */
export interface FrameState {
  /** Those that have begun, in that order. */
  readonly hosts: readonly HostProgress[];
  readonly hostCount: number;
  /** Of all hosts; undefined while it is not known. */
  readonly totalBytes: number | undefined;
  readonly bytes: number;
  readonly rate: RateMeter;
  readonly nowMs: number;
  readonly startedMs: number;
}

/** What it is drawn on. */
export interface FrameSurface {
  readonly columns: number;
  readonly rows: number;
  readonly symbols: Symbols;
}

const MIN_BAR = 8;
const MAX_BAR = 40;
/** Percentage, bytes, rate, time left, and blanks between. */
const FIGURES = 5 + 9 + 12 + 10;
/** The time since the beginning, behind the sum. */
const CLOCK = 8;

/** A row for each host, as many as there is room for, those at work first; the sum below. None is wider than the surface. */
export function liveFrame(state: FrameState, { columns, rows, symbols }: FrameSurface): readonly Row[] {
  const { hosts, hostCount } = state;
  const room = Math.max(1, rows - 4);
  const atWork = hosts.filter(({ outcome }) => outcome === undefined);
  const ended = hosts.filter(({ outcome }) => outcome !== undefined);
  const shown = [...atWork, ...ended.reverse()].slice(0, room);
  const places = new Map(hosts.map(({ host }, index) => [host, index]));
  const inOrder = shown.sort((one, other) => places.get(one.host)! - places.get(other.host)!);
  const total = `${ended.length} of ${hostCount}`;
  const nameColumns = Math.min(
    Math.max(textWidth(total), ...shown.map(({ host }) => textWidth(safeLine(host)))),
    Math.max(8, Math.floor(columns / 3)),
  );
  const barColumns = Math.min(MAX_BAR, columns - nameColumns - FIGURES - CLOCK - 4);
  const line = (progress: Pick<HostProgress, "totalBytes" | "bytes" | "rate">, isAtWork = false): Row => [
    ...barOf(progress, barColumns, symbols),
    ...figuresOf(progress, state.nowMs, isAtWork),
  ];
  const hidden = hosts.length - shown.length;
  const result: Row[] = inOrder.map((progress) => {
    const { host, outcome } = progress;
    const sign = outcome === undefined ? symbols.running : signOf(outcome, symbols);
    const style = outcome === undefined ? {} : styleOf(outcome);
    return [
      segment(`${sign} `, style),
      segment(padText(truncateText(safeLine(host), nameColumns, symbols.ellipsis), nameColumns)),
      segment("  "),
      ...line(progress, outcome === undefined),
    ];
  });
  if (hidden > 0) result.push([segment(`  and ${hidden} more`, DIM)]);
  result.push([
    segment(`  ${padText(truncateText(total, nameColumns, symbols.ellipsis), nameColumns)}  `, BOLD),
    ...line(state),
    segment(`  ${formatClock(state.nowMs - state.startedMs)}`, DIM),
  ]);
  return result.map((row) => truncateRow(row, columns, symbols.ellipsis));
}

function barOf(
  { totalBytes, bytes }: Pick<HostProgress, "totalBytes" | "bytes">,
  columns: number,
  symbols: Symbols,
): Row {
  if (columns < MIN_BAR) return [];
  const full = Math.round(shareOf(totalBytes, bytes) * columns);
  return [
    segment(symbols.barFull.repeat(full), { color: "green" }),
    segment(symbols.barEmpty.repeat(columns - full), DIM),
  ];
}

function figuresOf(
  progress: Pick<HostProgress, "totalBytes" | "bytes" | "rate">,
  nowMs: number,
  isAtWork: boolean,
): Row {
  const { totalBytes, bytes, rate } = progress;
  const perSecond = rate.bytesPerSecond(nowMs);
  const left = remainingMs(progress, perSecond);
  // All is sent: it is being verified, and written to the disk.
  const isFinishing = isAtWork && totalBytes !== undefined && bytes >= totalBytes;
  const speed = perSecond < 1 ? "" : `${formatBytes(Math.round(perSecond))}/s`;
  const percent = totalBytes === undefined ? "" : `${Math.floor(shareOf(totalBytes, bytes) * 100)}%`;
  return [
    segment(padText(percent, 5, true)),
    segment(padText(formatBytes(bytes), 9, true)),
    segment(padText(isFinishing ? "verifying" : speed, 12, true)),
    segment(padText(left === undefined ? "" : `eta ${formatClock(left)}`, 10, true), DIM),
  ];
}

function shareOf(totalBytes: number | undefined, bytes: number): number {
  if (totalBytes === undefined) return 0;
  return totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes);
}
