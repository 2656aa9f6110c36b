/** How a cell looks. */
export interface CellStyle {
  /** {@link DEFAULT_COLOR}, a palette index from 0 to 255, or {@link RGB} plus 0xRRGGBB. */
  readonly foreground: number;
  readonly background: number;
  /** Bits of {@link FLAGS}. */
  readonly flags: number;
}

/** A rectangle of cells, row by row. */
export interface Cells {
  readonly columns: number;
  readonly rows: number;
  /** What stands in each cell; empty in the right half of a wide character. */
  readonly chars: string[];
  readonly foreground: Int32Array;
  readonly background: Int32Array;
  readonly flags: Uint16Array;
}

/** A part of a rectangle of cells. */
export interface Area {
  readonly column: number;
  readonly row: number;
  readonly columns: number;
  readonly rows: number;
}

/** How many columns a text takes. */
export type WidthOf = (text: string) => number;

/** The colour a terminal shows when none is asked for. */
export const DEFAULT_COLOR = -1;

/** Marks a colour as 0xRRGGBB. */
export const RGB = 0x1000000;

/** The attributes of ECMA-48's Select Graphic Rendition that terminals show. */
export const FLAGS = {
  bold: 1,
  dim: 2,
  italic: 4,
  underline: 8,
  blink: 16,
  inverse: 32,
  invisible: 64,
  strikethrough: 128,
  overline: 256,
} as const;

/** No colour, no attribute. */
export const PLAIN: CellStyle = { foreground: DEFAULT_COLOR, background: DEFAULT_COLOR, flags: 0 };

/** A style of palette colours and attributes. */
export function style(flags: number, foreground = DEFAULT_COLOR, background = DEFAULT_COLOR): CellStyle {
  return { foreground, background, flags };
}

/** Blank cells. */
export function createCells(columns: number, rows: number): Cells {
  const size = columns * rows;
  return {
    columns,
    rows,
    chars: new Array<string>(size).fill(" "),
    foreground: new Int32Array(size).fill(DEFAULT_COLOR),
    background: new Int32Array(size).fill(DEFAULT_COLOR),
    flags: new Uint16Array(size),
  };
}

/** Sets one cell; nothing happens outside of the rectangle. */
export function setCell(cells: Cells, column: number, row: number, char: string, look: CellStyle): void {
  if (column < 0 || row < 0 || column >= cells.columns || row >= cells.rows) return;
  const index = row * cells.columns + column;
  cells.chars[index] = char;
  cells.foreground[index] = look.foreground;
  cells.background[index] = look.background;
  cells.flags[index] = look.flags;
}

/** Adds and takes away attributes of an area. */
export function restyle(cells: Cells, { column, row, columns, rows }: Area, flags: number): void {
  for (let y = Math.max(0, row); y < Math.min(cells.rows, row + rows); y++)
    for (let x = Math.max(0, column); x < Math.min(cells.columns, column + columns); x++)
      cells.flags[y * cells.columns + x]! ^= flags;
}

/** Fills an area with one character. */
export function fillCells(cells: Cells, area: Area, look: CellStyle, char = " "): void {
  for (let y = area.row; y < area.row + area.rows; y++)
    for (let x = area.column; x < area.column + area.columns; x++) setCell(cells, x, y, char, look);
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Writes a text without control characters into at most `room` columns, and gives how many it took. */
export function drawText(
  cells: Cells,
  at: { readonly column: number; readonly row: number; readonly room: number },
  text: string,
  look: CellStyle,
  widthOf: WidthOf,
): number {
  let taken = 0;
  for (const { segment } of graphemes.segment(text)) {
    const width = widthOf(segment);
    if (width === 0) continue;
    if (taken + width > at.room) break;
    setCell(cells, at.column + taken, at.row, segment, look);
    for (let half = 1; half < width; half++) setCell(cells, at.column + taken + half, at.row, "", look);
    taken += width;
  }
  return taken;
}

/** The text cut to `room` columns, with an ellipsis where something is missing. */
export function cutText(text: string, room: number, widthOf: WidthOf, ellipsis = "…"): string {
  if (widthOf(text) <= room) return text;
  const left = room - widthOf(ellipsis);
  let kept = "";
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += widthOf(segment);
    if (width > left) break;
    kept += segment;
  }
  return left < 0 ? "" : kept + ellipsis;
}
