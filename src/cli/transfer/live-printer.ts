import { paintRow, type Row, segment } from "../../reporter/rows/row.ts";

import { safeLine } from "../../reporter/rows/sanitize.ts";
import { endRows, reasonOf, signOf, styleOf } from "./end-table.ts";
import { type FrameState, liveFrame } from "./live-frame.ts";
import { fileRow } from "./plain-printer.ts";
import type { TransferPrinter, TransferPrinterOptions } from "./printer.ts";
import { createRateMeter, type HostProgress } from "./progress-model.ts";

const FRAME_MS = 100;
const FAILURES_TOLD = 5;
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";

/** A bar for each host, drawn over itself at the bottom of the terminal; what failed stands above it. */
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
    // The last column stays empty: a terminal that has just written there is in a state of its own (pending wrap).
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
  // A second Ctrl-C leaves without closing anything.
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
        // Files that failed have been told of.
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
      // What is left of it at the end is the table.
      isOpen = false;
      draw();
      process.off("exit", showCursor);
      showCursor();
    },
  };
}
