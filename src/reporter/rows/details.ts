import { structuredPatch } from "diff";
import { formatLocation, type SerializedError } from "../../core/errors.ts";
import type { TaskRef } from "../../core/events.ts";
import type { Diff, ItemResult, Result } from "../../core/result.ts";
import { formatElapsed } from "./amounts.ts";
import { BOLD, DIM, line, type Row, type Style, segment } from "./row.ts";
import { safeError, safeErrorLines, safeLine, safeLines } from "./sanitize.ts";
import { resultWording, type Symbols, taskTitle } from "./wording.ts";

const MAX_ITEMS = 20;

/** A task that ended. */
export interface TaskEnd {
  readonly task: TaskRef;
  readonly result: Result;
  readonly elapsedMs: number;
}

/** Return the row of a task, behind its state: title, duration and message. */
export function taskRow({ task, result, elapsedMs }: TaskEnd): Row {
  const message =
    result.state === "failed" || result.message === undefined ? "" : safeLines(result.message)[0];
  return [
    segment(taskTitle(task)),
    ...(task.handler === true ? [segment(" (handler)", DIM)] : []),
    segment(`  ${formatElapsed(elapsedMs)}`, DIM),
    ...(message === "" ? [] : [segment(`  ${message}`, DIM)]),
  ];
}

/** Return the rows below a task's row: items, diff, error, and the last lines of output of a failed task. */
export function taskDetails(
  { result }: TaskEnd,
  options: { readonly symbols: Symbols; readonly diff: boolean; readonly output: readonly string[] },
): readonly Row[] {
  const { symbols, diff, output } = options;
  return [
    ...itemRows(result.items ?? [], symbols),
    ...(diff && result.diff !== undefined ? diffRows(result.diff) : []),
    ...(result.error === undefined ? [] : errorRows(result.error)),
    ...(result.state === "failed" ? outputRows(output, symbols.gutter) : []),
  ];
}

function itemRows(items: readonly ItemResult[], symbols: Symbols): readonly Row[] {
  const telling = items.filter(
    ({ state, unknown }) => state === "changed" || state === "failed" || unknown === true,
  );
  const rows = telling.slice(0, MAX_ITEMS).flatMap((item): readonly Row[] => {
    const { symbol, word, style } = resultWording(item, symbols);
    const message = item.error?.message ?? item.message;
    return [
      [
        segment(`${symbol} ${word} `, style),
        segment(`item ${safeLine(item.label)}`),
        ...(message === undefined ? [] : [segment(`  ${safeLine(message)}`, DIM)]),
      ],
    ];
  });
  return telling.length > MAX_ITEMS
    ? [...rows, [segment(`(${telling.length - MAX_ITEMS} more items)`, DIM)]]
    : rows;
}

const MAX_MESSAGE_LINES = 30;
const MAX_STACK_LINES = 12;

/** Return an error as rows: message, location, hint, and the stack of an internal error. */
export function errorRows(error: SerializedError): readonly Row[] {
  const message = safeErrorLines(error.message);
  return [
    ...message.slice(0, MAX_MESSAGE_LINES).map((text) => line(text, { color: "red" })),
    ...(message.length > MAX_MESSAGE_LINES
      ? [line(`(${message.length - MAX_MESSAGE_LINES} more lines)`, DIM)]
      : []),
    ...(error.location === undefined ? [] : [line(`at ${safeError(formatLocation(error.location))}`, DIM)]),
    ...(error.hint === undefined ? [] : hintRows(error.hint)),
    ...(error.code === "INTERNAL" && error.stack !== undefined ? stackRows(error.stack) : []),
  ];
}

/** Return lines of output as rows behind a gutter. */
export function outputRows(output: readonly string[], gutter: string): readonly Row[] {
  return output.flatMap((text) => safeLines(text)).map((text) => [segment(`${gutter} `, DIM), segment(text)]);
}

function hintRows(hint: string): readonly Row[] {
  return safeErrorLines(hint).map((text, index) => [
    segment(index === 0 ? "hint: " : "      ", BOLD),
    segment(text),
  ]);
}

function stackRows(stack: string): readonly Row[] {
  return safeLines(stack)
    .filter((text) => text.trimStart().startsWith("at "))
    .slice(0, MAX_STACK_LINES)
    .map((text) => line(`  ${text.trim()}`, DIM));
}

const ADDED: Style = { color: "green" };
const REMOVED: Style = { color: "red" };
const HUNK: Style = { color: "cyan" };
/** Comparing longer texts takes too long: only their sizes are shown. */
const MAX_COMPARED = 512 * 1024;
const MAX_COMPARE_MS = 200;

/** The limits on a diff. */
export interface DiffLimits {
  /** Default 60. */
  readonly maxRows?: number;
  /** Unchanged lines around each change. Default 3. */
  readonly context?: number;
}

/** Return diffs as rows: unified hunks for text, `name: before -> after` for attributes. */
export function diffRows(
  diffs: readonly Diff[],
  { maxRows = 60, context = 3 }: DiffLimits = {},
): readonly Row[] {
  const rows = diffs.flatMap((diff) => [...oneDiff(diff, context)]);
  if (rows.length <= maxRows) return rows;
  return [...rows.slice(0, maxRows - 1), line(`(${rows.length - maxRows + 1} more lines)`, DIM)];
}

function* oneDiff(diff: Diff, context: number): Generator<Row> {
  const path = safeLine(diff.path);
  const attributes = Object.entries(diff.attributes ?? {});
  if (diff.binary === true) yield line(`${path}: differs (binary, or too long to show)`, DIM);
  else if (diff.before !== undefined || diff.after !== undefined) yield* textDiff(path, diff, context);
  else if (attributes.length > 0) yield line(path, DIM);
  for (const [name, [before, after]] of attributes) {
    yield line(`${safeLine(name)}: ${safeLine(before)} -> ${safeLine(after)}`, { color: "yellow" });
  }
}

function* textDiff(path: string, { before = null, after = null }: Diff, context: number): Generator<Row> {
  yield line(`--- ${before === null ? "(nothing)" : path}`, REMOVED);
  yield line(`+++ ${after === null ? "(nothing)" : path}`, ADDED);
  const patch =
    (before?.length ?? 0) + (after?.length ?? 0) > MAX_COMPARED
      ? undefined
      : structuredPatch(path, path, before ?? "", after ?? "", undefined, undefined, {
          context,
          timeout: MAX_COMPARE_MS,
        });
  if (patch === undefined) {
    yield line(`(too long to compare: ${before?.length ?? 0} -> ${after?.length ?? 0} characters)`, DIM);
    return;
  }
  for (const hunk of patch.hunks) {
    const before = hunkRange(hunk.oldStart, hunk.oldLines);
    yield line(`@@ -${before} +${hunkRange(hunk.newStart, hunk.newLines)} @@`, HUNK);
    for (const text of hunk.lines) yield diffLine(text);
  }
}

/** In the unified format an empty range starts at the line before it. */
function hunkRange(start: number, lines: number): string {
  return `${lines === 0 ? start - 1 : start},${lines}`;
}

function diffLine(text: string): Row {
  const shown = safeLine(text);
  if (text.startsWith("+")) return line(shown, ADDED);
  if (text.startsWith("-")) return line(shown, REMOVED);
  return text.startsWith("\\") ? line(shown, DIM) : line(shown);
}
