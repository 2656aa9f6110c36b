import { structuredPatch } from "diff";
import type { Diff } from "../../core/result.ts";
import { DIM, line, type Row, type Style } from "./row.ts";
import { safeLine } from "./sanitize.ts";

const ADDED: Style = { color: "green" };
const REMOVED: Style = { color: "red" };
const HUNK: Style = { color: "cyan" };
/** Beyond this, comparing is not worth the wait: only the sizes are told. */
const MAX_COMPARED = 512 * 1024;
const MAX_COMPARE_MS = 200;

/** How much of a diff is shown. */
export interface DiffLimits {
  /** Default 60. */
  readonly maxRows?: number;
  /** Unchanged lines around each change. Default 3. */
  readonly context?: number;
}

/** Diffs as rows: unified hunks for text, `name: before -> after` for attributes; bounded. */
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

/** The unified format has an empty range start at the line before it. */
function hunkRange(start: number, lines: number): string {
  return `${lines === 0 ? start - 1 : start},${lines}`;
}

function diffLine(text: string): Row {
  const shown = safeLine(text);
  if (text.startsWith("+")) return line(shown, ADDED);
  if (text.startsWith("-")) return line(shown, REMOVED);
  return text.startsWith("\\") ? line(shown, DIM) : line(shown);
}
