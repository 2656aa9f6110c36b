import type { TransferOutcome } from "../../fanout/transfer/result.ts";
import { formatBytes, formatClock } from "../../reporter/rows/amounts.ts";
import { padText, textWidth, truncateRow, truncateText } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, paintRow, type Row, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";
import {
  endRows,
  fileRow,
  reasonOf,
  signOf,
  styleOf,
  type TransferPrinter,
  type TransferPrinterOptions,
} from "./printer.ts";

const FRAME_MS = 100;
const FAILURES_TOLD = 5;
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";

/** Show a bar for each host at the bottom of the terminal, and failures above. */
export function createLivePrinter(options: TransferPrinterOptions): TransferPrinter {
  const { hosts, bytesPerHost, writer, colors, symbols, size } = options;
  const startedMs = Date.now();
  const progressOf = new Map<string, HostProgress>();
  const failures = new Map<string, number>();
  const rate = createRateMeter(startedMs);
  let bytes = 0;
  let above: Row[] = [];
  let drawnRows = 0;
  let isOpen = true;

  const totalBytes = (): number | undefined => {
    if (bytesPerHost !== undefined) return bytesPerHost * hosts.length;
    let sum = 0;
    for (const { totalBytes: each, outcome } of progressOf.values()) {
      if (each === undefined && outcome === undefined) return undefined;
      sum += each ?? 0;
    }
    return sum;
  };
  const draw = (): void => {
    const { columns, rows } = size() ?? { columns: 80, rows: 24 };
    const state: FrameState = {
      hosts: [...progressOf.values()],
      hostCount: hosts.length,
      totalBytes: totalBytes(),
      bytes,
      rate,
      nowMs: Date.now(),
      startedMs,
    };
    // Leave the last column empty: after writing there a terminal is about to wrap (pending wrap).
    const frame = isOpen ? liveFrame(state, { columns: columns - 1, rows, symbols }) : [];
    const up = drawnRows === 0 ? "" : `\x1b[${drawnRows}A`;
    const text = [...above, ...frame].map((row) => `\x1b[K${paintRow(row, colors)}\n`).join("");
    above = [];
    drawnRows = frame.length;
    writer.write(`${up}\r${text}\x1b[J`);
  };
  const tell = (host: string, row: Row): void => {
    const told = (failures.get(host) ?? 0) + 1;
    failures.set(host, told);
    if (told <= FAILURES_TOLD) above.push([segment(`${safeLine(host)}  `), ...row]);
  };
  const showCursor = (): void => writer.write(SHOW_CURSOR);
  // A second Ctrl-C exits without close().
  process.once("exit", showCursor);
  writer.write(HIDE_CURSOR);
  const timer = setInterval(draw, FRAME_MS);

  return {
    listener: {
      start: (host) =>
        progressOf.set(host, {
          host,
          totalBytes: bytesPerHost,
          bytes: 0,
          sentBytes: 0,
          outcome: undefined,
          rate: createRateMeter(Date.now()),
        }),
      total: (host, total) => {
        const progress = progressOf.get(host);
        if (progress !== undefined) progress.totalBytes = total.bytes;
      },
      progress: (host, more, how) => {
        const progress = progressOf.get(host);
        if (progress === undefined) return;
        progress.bytes += more;
        bytes += more;
        if (how !== "sent") return;
        progress.sentBytes += more;
        const now = Date.now();
        progress.rate.add(more, now);
        rate.add(more, now);
      },
      file: (host, event) => {
        const row = fileRow(event, host, { ...options, verbose: false });
        if (row !== undefined) tell(host, row);
      },
      end: (result) => {
        const progress = progressOf.get(result.host);
        if (progress !== undefined) progress.outcome = result.outcome;
        const { outcome } = result;
        // The failed files are shown already.
        if (outcome === "ok" || outcome === "cancelled" || result.files.failed > 0) return;
        tell(result.host, [
          segment(`${signOf(outcome, symbols)} ${outcome}: ${reasonOf(result)}`, styleOf(outcome)),
        ]);
      },
      ready: () => writer.ready(),
    },
    end: async (results, elapsedMs) => {
      const rows = endRows(results, elapsedMs, { ...options, symbols });
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
    close: () => {
      if (!isOpen) return;
      clearInterval(timer);
      // Remove the bars: the table replaces them.
      isOpen = false;
      draw();
      process.off("exit", showCursor);
      showCursor();
    },
  };
}

/** The state that a frame shows. */
export interface FrameState {
  /** The hosts that have begun, in that order. */
  readonly hosts: readonly HostProgress[];
  readonly hostCount: number;
  /** Bytes of all hosts; undefined while the sum is not known. */
  readonly totalBytes: number | undefined;
  readonly bytes: number;
  readonly rate: RateMeter;
  readonly nowMs: number;
  readonly startedMs: number;
}

/** The terminal to draw on. */
export interface FrameSurface {
  readonly columns: number;
  readonly rows: number;
  readonly symbols: Symbols;
}

const MIN_BAR = 8;
const MAX_BAR = 40;
/** Columns of percentage, bytes, rate, time left, and blanks between. */
const FIGURES = 5 + 9 + 12 + 10;
/** Columns of the time since the beginning, behind the sum. */
const CLOCK = 8;

/**
 * Draw a row for each host, as many as there is room for, those at work first; the sum below. No row is wider than the
 * surface.
 */
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
  // All bytes are sent; the host verifies them and writes them to its disk.
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

/** A host's progress. */
export interface HostProgress {
  readonly host: string;
  /** Undefined while the size is not known. */
  totalBytes: number | undefined;
  /** Bytes sent or there already. */
  bytes: number;
  sentBytes: number;
  outcome: TransferOutcome | undefined;
  readonly rate: RateMeter;
}

/** Bytes a second over the last few seconds. */
export interface RateMeter {
  add(bytes: number, nowMs: number): void;
  bytesPerSecond(nowMs: number): number;
}

const SPAN_MS = 3_000;
const SLOT_MS = 250;

/** Make a rate meter. The meter counts in slots of time, so that its size does not depend on the number of chunks. */
export function createRateMeter(startedMs: number): RateMeter {
  const slots: { readonly at: number; bytes: number }[] = [];
  return {
    add: (bytes, nowMs) => {
      const at = Math.floor(nowMs / SLOT_MS);
      const last = slots.at(-1);
      if (last?.at === at) last.bytes += bytes;
      else slots.push({ at, bytes });
      if (slots.length > (2 * SPAN_MS) / SLOT_MS) slots.shift();
    },
    bytesPerSecond: (nowMs) => {
      const since = Math.max(startedMs, nowMs - SPAN_MS);
      const bytes = slots
        .filter(({ at }) => (at + 1) * SLOT_MS > since)
        .reduce((sum, slot) => sum + slot.bytes, 0);
      return (bytes * 1_000) / Math.max(SLOT_MS, nowMs - since);
    },
  };
}

/** Estimate the milliseconds until all bytes are there; undefined while no bytes move, or their number is not known. */
export function remainingMs(
  { totalBytes, bytes }: Pick<HostProgress, "totalBytes" | "bytes">,
  bytesPerSecond: number,
): number | undefined {
  if (totalBytes === undefined || bytesPerSecond < 1 || bytes >= totalBytes) return undefined;
  return ((totalBytes - bytes) * 1_000) / bytesPerSecond;
}
