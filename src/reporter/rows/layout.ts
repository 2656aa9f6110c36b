import stringWidth from "string-width";
import { type Row, type Segment, type Style, segment } from "./row.ts";

/** Latin, Greek and Cyrillic letters, dashes, arrows, boxes and the UI's signs: one column each, none of them an emoji. */
const NARROW =
  /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2190-\u2193\u2298\u2500-\u25fc\u2714\u2718\u276f\u2800-\u28ff]*$/;
let segmenter: Intl.Segmenter | undefined;

/** Created on first use, because it loads the data of all scripts. */
function graphemesOf(text: string): Iterable<Intl.SegmentData> {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
  return segmenter.segment(text);
}

/** Return whether every character of a text takes one column, alone and beside any other. */
export function isNarrow(text: string): boolean {
  return NARROW.test(text);
}

/** Return the columns of a text without control characters: wide characters take two, combining ones none. */
export function textWidth(text: string): number {
  // Every row of every frame is measured, and grapheme clusters take a hundred times as long.
  return NARROW.test(text) ? text.length : stringWidth(text);
}

/** Cut a text to at most `columns`, never through a wide or combined character; a cut text ends in `ellipsis`. */
export function truncateText(text: string, columns: number, ellipsis: string): string {
  if (textWidth(text) <= columns) return text;
  const end = textWidth(ellipsis) <= columns ? ellipsis : "";
  return takeColumns(text, columns - textWidth(end)) + end;
}

/** Fill a text with blanks to `columns`, at its end or, with `right`, at its start. */
export function padText(text: string, columns: number, right = false): string {
  const blanks = " ".repeat(Math.max(0, columns - textWidth(text)));
  return right ? blanks + text : text + blanks;
}

/** Break a text into ranges `[start, end)` of at most `first` columns, then `following`; at a blank where one is near. */
export function wrapRanges(
  text: string,
  first: number,
  following: number,
): readonly (readonly [start: number, end: number])[] {
  const ranges: [number, number][] = [];
  let start = 0;
  let columns = first;
  while (textWidth(text.slice(start)) > columns) {
    const rest = text.slice(start);
    const taken = takeColumns(rest, columns) || firstGrapheme(rest);
    const blank = taken.lastIndexOf(" ");
    const cut = rest[taken.length] !== " " && blank > taken.length / 2 ? blank : taken.length;
    ranges.push([start, start + cut]);
    start += rest[cut] === " " ? cut + 1 : cut;
    columns = following;
  }
  if (start < text.length || ranges.length === 0) ranges.push([start, text.length]);
  return ranges;
}

function takeColumns(text: string, columns: number): string {
  if (NARROW.test(text)) return text.slice(0, Math.max(0, columns));
  let taken = "";
  let width = 0;
  for (const { segment } of graphemesOf(text)) {
    width += textWidth(segment);
    if (width > columns) break;
    taken += segment;
  }
  return taken;
}

function firstGrapheme(text: string): string {
  for (const { segment } of graphemesOf(text)) return segment;
  return text;
}

/** Return the columns of a row. */
export function rowWidth(row: Row): number {
  return row.reduce((width, { text }) => width + textWidth(text), 0);
}

/** Cut a row to `columns`; a cut row ends in `ellipsis`. */
export function truncateRow(row: Row, columns: number, ellipsis: string): Row {
  if (rowWidth(row) <= columns) return row;
  const kept: Segment[] = [];
  let left = columns;
  for (const [index, piece] of row.entries()) {
    const width = textWidth(piece.text);
    const rest = row.slice(index + 1);
    const restIsEmpty = rest.every(({ text }) => text === "");
    if (width < left || (width === left && restIsEmpty)) {
      kept.push(piece);
      left -= width;
      continue;
    }
    kept.push({
      ...piece,
      text: truncateText(width <= left ? `${piece.text} ` : piece.text, left, ellipsis),
    });
    break;
  }
  return kept;
}

/** Bring a row to exactly `columns`: cut it, or fill it with blanks in `style`. */
export function fitRow(row: Row, columns: number, ellipsis: string, style?: Style): Row {
  const cut = truncateRow(row, columns, ellipsis);
  const missing = columns - rowWidth(cut);
  return missing > 0 ? [...cut, segment(" ".repeat(missing), style)] : cut;
}

/** Put `left` and `right` at the two ends of a row of `columns`; the left one is cut. */
export function spread(left: Row, right: Row, columns: number, ellipsis: string): Row {
  const cutRight = truncateRow(right, columns, ellipsis);
  const room = columns - rowWidth(cutRight);
  if (room <= 1) return cutRight;
  return [...fitRow(left, room - 1, ellipsis), segment(" "), ...cutRight];
}

/** Return a cell of a table: `text` cut or padded to `columns`. */
export function cell(
  text: string,
  columns: number,
  options: { style?: Style; right?: boolean; ellipsis: string },
): Segment {
  return segment(
    padText(truncateText(text, columns, options.ellipsis), columns, options.right),
    options.style,
  );
}
