import type { Row } from "../rows/row.ts";

/** One line of a host's log. */
export interface LogLine {
  /** Counted from 0 within the host's run; lines that were dropped keep theirs. */
  readonly number: number;
  readonly row: Row;
}

/** A host's log, of which only the last lines are kept. */
export interface HostLog {
  readonly lines: readonly LogLine[];
  /** How many lines at the beginning were dropped. */
  readonly dropped: number;
  add(rows: readonly Row[]): void;
}

/** The lines kept of each host's log. */
const MAX_LOG_LINES = 500;

/** Starts an empty log. */
export function createHostLog(maxLines: number = MAX_LOG_LINES): HostLog {
  let lines: LogLine[] = [];
  let next = 0;
  return {
    get lines() {
      if (lines.length > maxLines) lines = lines.slice(-maxLines);
      return lines;
    },
    get dropped() {
      return next - Math.min(lines.length, maxLines);
    },
    add(rows) {
      for (const row of rows) lines.push({ number: next++, row });
      // Cutting at twice the bound keeps the cost of a line constant.
      if (lines.length > 2 * maxLines) lines = lines.slice(-maxLines);
    },
  };
}
