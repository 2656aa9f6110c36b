import type { Event } from "../../core/events.ts";
import { formatTally } from "../../core/result.ts";
import { createOutputLines } from "../reporter.ts";
import { formatElapsed, uploadedText } from "../rows/amounts.ts";
import { errorRows, taskDetails, taskRow } from "../rows/details.ts";
import { rowWidth, wrapRanges } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, rowText, segment } from "../rows/row.ts";
import { safeLine, safeLines } from "../rows/sanitize.ts";
import { outcomeWording, resultWording, type Symbols, taskTitle } from "../rows/wording.ts";

/** A run of a playbook, or one command on every host: a command has an end but no task states. */
export type RunKind = "run" | "command";

type HostEvent = Extract<Event, { host: string }>;

/** A line of a host's log. */
export interface LogLine {
  /** Counted from 0 within the host's run; dropping lines does not renumber the others. */
  readonly number: number;
  readonly row: Row;
}

/** The last lines of a host's log. */
export interface HostLog {
  readonly lines: readonly LogLine[];
  /** The number of lines dropped at the beginning. */
  readonly dropped: number;
  add(rows: readonly Row[]): void;
}

const MAX_LOG_LINES = 500;

/** Start an empty log that keeps the last `maxLines` lines. */
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

const INDENT = segment("    ");

/** Start turning one host's events into rows of its log; output stands under the title of the task that printed it. */
export function createLogRows(symbols: Symbols, kind: RunKind): (event: HostEvent) => readonly Row[] {
  const output = createOutputLines();
  /** The running task, while its title is not in the log. */
  let untitled: Extract<Event, { type: "task:start" }> | undefined;
  const note = (text: string): readonly Row[] => [line(`${symbols.bullet} ${text}`, DIM)];
  const warning = (text: string): readonly Row[] => [line(`${symbols.bullet} ${text}`, { color: "yellow" })];
  const printed = (lines: readonly string[]): readonly Row[] => {
    if (lines.length === 0) return [];
    const rows = lines
      .flatMap(safeLines)
      .map((text): Row => [INDENT, segment(`${symbols.gutter} `, DIM), segment(text)]);
    if (untitled === undefined) return rows;
    const title: Row = [segment(`${symbols.running} `, DIM), segment(taskTitle(untitled))];
    untitled = undefined;
    return [title, ...rows];
  };
  return (event) => {
    switch (event.type) {
      case "host:connect":
        return note(`connecting to ${safeLine(event.user)}@${safeLine(event.address)}, port ${event.port}`);
      case "host:connected":
        return note(`connected in ${formatElapsed(event.elapsedMs)}`);
      case "host:upload":
        return event.bytes < event.totalBytes ? [] : note(`uploaded ${uploadedText(event)}`);
      case "host:cached":
        return note("the bundle was there already");
      case "host:lost":
        return warning(`connection lost: ${safeLine(event.reason)}; trying again`);
      case "host:back":
        return note(`connected again after ${formatElapsed(event.awayMs)}`);
      case "restart":
        return note("the host restarts");
      case "host:noise":
        return safeLines(event.text).map((text) => line(`${symbols.gutter} ${text}`, DIM));
      case "hello":
        return note(`started under Node ${safeLine(event.node)}, process ${event.pid}`);
      case "facts":
        return note(`facts gathered in ${formatElapsed(event.elapsedMs)}`);
      case "play:start":
        untitled = undefined;
        return [line(safeLine(event.play), BOLD)];
      case "play:end":
        untitled = undefined;
        return [];
      case "task:start":
        untitled = event;
        return [];
      case "task:output":
        return printed(output.add(event.stream, event.text));
      case "task:end": {
        const rest = printed(output.rest());
        if (kind === "command") return rest;
        const { result, elapsedMs } = event;
        const { word, symbol, style } = resultWording(result, symbols);
        const end = { task: event, result, elapsedMs };
        const title: Row = [segment(`${symbol} ${word.padEnd(9)} `, style), ...taskRow(end)];
        // The task's output stands right above.
        return [...rest, title, ...indent(taskDetails(end, { symbols, diff: true, output: [] }))];
      }
      case "task:rescued":
        return note(`rescued: ${taskTitle(event)}`);
      case "log":
        return safeLines(event.text).flatMap(event.level === "warn" ? warning : note);
      case "host:end": {
        const { word, symbol, style } = outcomeWording(event.outcome, symbols);
        const text =
          kind === "run" ? formatTally(event.tally, event.elapsedMs) : `in ${formatElapsed(event.elapsedMs)}`;
        return [
          [segment(`${symbol} ${word}  `, style), segment(text)],
          ...(event.error === undefined ? [] : indent(errorRows(event.error))),
        ];
      }
      case "host:start":
      case "play:plan":
      case "task:once":
      case "task:delegate":
      case "gone":
      case "bye":
        return [];
    }
  };
}

function indent(rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => [INDENT, ...row]);
}

/** A place in a host's log: the number of a line, and which of the rows it is wrapped into, from 0. */
export interface LogPosition {
  readonly line: number;
  readonly part: number;
}

/** A row of a log on the screen, and its place in the log. */
export interface LogRow extends LogPosition {
  readonly row: Row;
}

const MIN_COLUMNS_FOR_INDENT = 30;
const MAX_INDENT = 12;
const layouts = new WeakMap<LogLine, { readonly columns: number; readonly rows: readonly LogRow[] }>();

/** A log wrapped to `columns`; a row stays the same object from frame to frame. */
export function logLayout(log: HostLog, columns: number): readonly LogRow[] {
  return log.lines.flatMap((line) => {
    const known = layouts.get(line);
    if (known?.columns === columns) return known.rows;
    const rows = wrapRow(line.row, columns).map((row, part): LogRow => ({ line: line.number, part, row }));
    layouts.set(line, { columns, rows });
    return rows;
  });
}

/** The index of the first row shown: the one at `scroll`, or its successor, but never past the last full screen. */
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
