import { padText, textWidth, truncateText } from "./width.ts";

/** The colours used: those of the terminal's own palette that are readable on dark and on light. */
export type Color = "green" | "yellow" | "red" | "cyan" | "magenta";

/** How a piece of text looks. */
export interface Style {
  readonly color?: Color;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly inverse?: boolean;
}

/** A piece of a row, in one style; its text holds no control characters. */
export interface Segment {
  readonly text: string;
  readonly style?: Style;
}

/** One line on a screen or in a printed summary. */
export type Row = readonly Segment[];

/** The style of what matters less. */
export const DIM: Style = { dim: true };

/** The style of titles. */
export const BOLD: Style = { bold: true };

/** A row of one piece. */
export function line(text: string, style?: Style): Row {
  return [segment(text, style)];
}

/** One piece of a row. */
export function segment(text: string, style?: Style): Segment {
  return style === undefined ? { text } : { text, style };
}

/** What a row says, without its styles. */
export function rowText(row: Row): string {
  return row.map(({ text }) => text).join("");
}

/** How many columns a row takes. */
export function rowWidth(row: Row): number {
  return row.reduce((width, { text }) => width + textWidth(text), 0);
}

/** The row cut to `columns`, ending in `ellipsis` when something was cut. */
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

/** The row brought to exactly `columns`: cut, or filled with blanks that carry `style`. */
export function fitRow(row: Row, columns: number, ellipsis: string, style?: Style): Row {
  const cut = truncateRow(row, columns, ellipsis);
  const missing = columns - rowWidth(cut);
  return missing > 0 ? [...cut, segment(" ".repeat(missing), style)] : cut;
}

/** `left` and `right` at the two ends of a row of `columns`; the left one gives way. */
export function spread(left: Row, right: Row, columns: number, ellipsis: string): Row {
  const cutRight = truncateRow(right, columns, ellipsis);
  const room = columns - rowWidth(cutRight);
  if (room <= 1) return cutRight;
  return [...fitRow(left, room - 1, ellipsis), segment(" "), ...cutRight];
}

/** A cell of a table: `text` cut or padded to `columns`. */
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
