import { rowWidth, wrapRanges } from "../rows/layout.ts";
import { type Row, rowText, segment } from "../rows/row.ts";

import type { HostLog, LogLine } from "./host-log.ts";
import type { LogPosition } from "./view-state.ts";

/** A row of a log on the screen, and where in the log it comes from. */
export interface LogRow extends LogPosition {
  readonly row: Row;
}

const MIN_COLUMNS_FOR_INDENT = 30;
const MAX_INDENT = 12;
const layouts = new WeakMap<LogLine, { readonly columns: number; readonly rows: readonly LogRow[] }>();

/** A log wrapped to `columns`. */
export function logLayout(log: HostLog, columns: number): readonly LogRow[] {
  return log.lines.flatMap((line) => {
    const known = layouts.get(line);
    if (known?.columns === columns) return known.rows;
    const rows = wrapRow(line.row, columns).map((row, part): LogRow => ({ line: line.number, part, row }));
    layouts.set(line, { columns, rows });
    return rows;
  });
}

/** The index of the first row shown: the one at `scroll`, or what stands there now, but never past the last full screen. */
export function firstRow(rows: readonly LogRow[], scroll: LogPosition | undefined, room: number): number {
  const last = Math.max(0, rows.length - room);
  if (scroll === undefined) return last;
  const index = rows.findIndex(
    ({ line, part }) => line > scroll.line || (line === scroll.line && part >= scroll.part),
  );
  return index < 0 ? last : Math.min(index, last);
}

function wrapRow(row: Row, columns: number): readonly Row[] {
  if (rowWidth(row) <= columns) return [row];
  const text = rowText(row);
  const leading = text.length - text.trimStart().length;
  const indent = columns < MIN_COLUMNS_FOR_INDENT ? 0 : Math.min(leading + 2, MAX_INDENT);
  return wrapRanges(text, columns, columns - indent).map(([start, end], index) => {
    const part = sliceRow(row, start, end);
    return index === 0 ? part : [segment(" ".repeat(indent)), ...part];
  });
}

function sliceRow(row: Row, start: number, end: number): Row {
  let offset = 0;
  return row.flatMap((piece) => {
    const text = piece.text.slice(Math.max(0, start - offset), Math.max(0, end - offset));
    offset += piece.text.length;
    return text === "" ? [] : [{ ...piece, text }];
  });
}
