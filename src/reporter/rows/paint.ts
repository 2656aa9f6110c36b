import type { Color, Row, Style } from "./row.ts";

const COLOR_CODES: Readonly<Record<Color, number>> = {
  red: 31,
  green: 32,
  yellow: 33,
  magenta: 35,
  cyan: 36,
};

/** A row as text for a terminal; without `colors` it holds no escape sequence at all. */
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
