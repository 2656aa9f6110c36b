/** The colours of the terminal's palette that are readable on dark and on light backgrounds. */
export type Color = "green" | "yellow" | "red" | "cyan" | "magenta";

/** The look of a piece of text. */
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

/** A line on a screen or in a printed summary. */
export type Row = readonly Segment[];

/** The style of secondary text. */
export const DIM: Style = { dim: true };

/** The style of titles. */
export const BOLD: Style = { bold: true };

/** A row of one piece. */
export function line(text: string, style?: Style): Row {
  return [segment(text, style)];
}

/** Return a piece of a row. */
export function segment(text: string, style?: Style): Segment {
  return style === undefined ? { text } : { text, style };
}

/** Return the text of a row, without its styles. */
export function rowText(row: Row): string {
  return row.map(({ text }) => text).join("");
}

const COLOR_CODES: Readonly<Record<Color, number>> = {
  red: 31,
  green: 32,
  yellow: 33,
  magenta: 35,
  cyan: 36,
};

/** Return a row as text for a terminal; without `colors`, without any escape sequence. */
export function paintRow(row: Row, colors: boolean): string {
  return row
    .map(({ text, style }) => (colors && style !== undefined ? paint(text, style) : text))
    .join("")
    .trimEnd();
}

function paint(text: string, style: Style): string {
  const codes = [
    ...(style.bold === true ? [1] : []),
    ...(style.dim === true ? [2] : []),
    ...(style.inverse === true ? [7] : []),
    ...(style.color === undefined ? [] : [COLOR_CODES[style.color]]),
  ];
  return codes.length === 0 || text === "" ? text : `\x1b[${codes.join(";")}m${text}\x1b[0m`;
}
