import { UNSAFE } from "../../core/values/characters.ts";

/** The look of a cell. */
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
  /** Character of each cell; empty in the right half of a wide character. */
  readonly chars: string[];
  readonly foreground: Int32Array;
  readonly background: Int32Array;
  readonly flags: Uint16Array;
}

/** A part of {@link Cells}. */
export interface Area {
  readonly column: number;
  readonly row: number;
  readonly columns: number;
  readonly rows: number;
}

/** Returns the number of columns of a text. */
export type WidthOf = (text: string) => number;

/** The terminal's default colour. */
export const DEFAULT_COLOR = -1;

/** Marks a colour as 0xRRGGBB. */
export const RGB = 0x1000000;

/** Attributes of ECMA-48's Select Graphic Rendition that terminals show. */
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

/** Make a style of palette colours and attributes. */
export function style(flags: number, foreground = DEFAULT_COLOR, background = DEFAULT_COLOR): CellStyle {
  return { foreground, background, flags };
}

/** Make blank cells. */
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

/** Set one cell; a place outside is ignored. */
export function setCell(cells: Cells, column: number, row: number, char: string, look: CellStyle): void {
  if (column < 0 || row < 0 || column >= cells.columns || row >= cells.rows) return;
  const index = row * cells.columns + column;
  cells.chars[index] = char;
  cells.foreground[index] = look.foreground;
  cells.background[index] = look.background;
  cells.flags[index] = look.flags;
}

/** Toggle attributes of an area. */
export function restyle(cells: Cells, { column, row, columns, rows }: Area, flags: number): void {
  for (let y = Math.max(0, row); y < Math.min(cells.rows, row + rows); y++)
    for (let x = Math.max(0, column); x < Math.min(cells.columns, column + columns); x++)
      cells.flags[y * cells.columns + x]! ^= flags;
}

/** Fill an area with one character. */
export function fillCells(cells: Cells, area: Area, look: CellStyle, char = " "): void {
  for (let y = area.row; y < area.row + area.rows; y++)
    for (let x = area.column; x < area.column + area.columns; x++) setCell(cells, x, y, char, look);
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Write a text without control characters into at most `room` columns; returns the number of columns used. */
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

/** Cut a text to `room` columns, with an ellipsis for the rest. */
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

/** A base and its marks; more marks only occur in attacks. */
const MAX_CODE_POINTS = 8;

/** Make a cell's content safe for the real terminal: one character with few marks, without controls. */
export function safeCharacter(chars: string): string {
  if (chars === "") return " ";
  if (chars.length === 1 && chars >= " " && chars <= "~") return chars;
  const safe = chars.replace(UNSAFE, "");
  if (safe === "") return " ";
  return safe.length <= MAX_CODE_POINTS ? safe : [...safe].slice(0, MAX_CODE_POINTS).join("");
}

/** Remove controls and hiding characters from text of another machine. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, "");
}

/** Bits of colour of a terminal, as `tty.WriteStream.getColorDepth` returns them; 1 means no colour. */
export type ColorDepth = 1 | 4 | 8 | 24;

const CODES: readonly (readonly [flag: number, code: number])[] = [
  [FLAGS.bold, 1],
  [FLAGS.dim, 2],
  [FLAGS.italic, 3],
  [FLAGS.underline, 4],
  [FLAGS.blink, 5],
  [FLAGS.inverse, 7],
  [FLAGS.invisible, 8],
  [FLAGS.strikethrough, 9],
  [FLAGS.overline, 53],
];

/** Return the shortest Select Graphic Rendition (ECMA-48 8.3.117) from one style to another; empty for equal looks. */
export function sgrBetween(before: CellStyle, after: CellStyle, depth: ColorDepth): string {
  const [from, to] = [withDepth(before, depth), withDepth(after, depth)];
  if (isSame(from, to)) return "";
  const isPlain = to.flags === 0 && to.foreground === DEFAULT_COLOR && to.background === DEFAULT_COLOR;
  if (isPlain) return "\x1b[m";
  // Attributes can only be reset together: 22 ends both bold and dim.
  const isReset = (from.flags & ~to.flags) !== 0;
  const start = isReset ? { foreground: DEFAULT_COLOR, background: DEFAULT_COLOR, flags: 0 } : from;
  const codes = [
    ...(isReset ? ["0"] : []),
    ...CODES.filter(([flag]) => (to.flags & flag) !== 0 && (start.flags & flag) === 0).map(([, code]) =>
      String(code),
    ),
    ...(to.foreground === start.foreground ? [] : [colorCode(to.foreground, 30)]),
    ...(to.background === start.background ? [] : [colorCode(to.background, 40)]),
  ];
  return `\x1b[${codes.join(";")}m`;
}

function isSame(one: CellStyle, other: CellStyle): boolean {
  return (
    one.flags === other.flags && one.foreground === other.foreground && one.background === other.background
  );
}

function withDepth({ foreground, background, flags }: CellStyle, depth: ColorDepth): CellStyle {
  return { flags, foreground: nearest(foreground, depth), background: nearest(background, depth) };
}

function colorCode(color: number, base: 30 | 40): string {
  if (color === DEFAULT_COLOR) return String(base + 9);
  if (color >= RGB) return `${base + 8};2;${(color >> 16) & 0xff};${(color >> 8) & 0xff};${color & 0xff}`;
  if (color < 8) return String(base + color);
  return color < 16 ? String(base + 60 + color - 8) : `${base + 8};5;${color}`;
}

const CUBE = [0, 95, 135, 175, 215, 255];
const FIRST_GRAY = 232;

/** Return the nearest colour for a terminal of less depth. */
function nearest(color: number, depth: ColorDepth): number {
  if (color === DEFAULT_COLOR || depth === 24) return color;
  if (depth === 1) return DEFAULT_COLOR;
  const indexed = color >= RGB ? indexOf(channels(color)) : color;
  return depth === 8 || indexed < 16 ? indexed : basicOf(indexedChannels(indexed));
}

function channels(color: number): readonly [number, number, number] {
  return [(color >> 16) & 0xff, (color >> 8) & 0xff, color & 0xff];
}

/** Return the nearest index of xterm's palette: a cube of 6×6×6 from 16, grays from 232. */
function indexOf([red, green, blue]: readonly [number, number, number]): number {
  const level = (value: number): number => (value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40));
  const [r, g, b] = [level(red), level(green), level(blue)];
  const gray = Math.min(23, Math.max(0, Math.round(((red + green + blue) / 3 - 8) / 10)));
  const distance = (x: number, y: number, z: number): number =>
    (x - red) ** 2 + (y - green) ** 2 + (z - blue) ** 2;
  const shade = 8 + gray * 10;
  return distance(shade, shade, shade) < distance(CUBE[r]!, CUBE[g]!, CUBE[b]!)
    ? FIRST_GRAY + gray
    : 16 + 36 * r + 6 * g + b;
}

function indexedChannels(index: number): readonly [number, number, number] {
  if (index >= FIRST_GRAY) {
    const shade = 8 + (index - FIRST_GRAY) * 10;
    return [shade, shade, shade];
  }
  const cube = index - 16;
  return [CUBE[Math.floor(cube / 36)]!, CUBE[Math.floor(cube / 6) % 6]!, CUBE[cube % 6]!];
}

function basicOf([red, green, blue]: readonly [number, number, number]): number {
  const brightness = Math.max(red, green, blue);
  if (brightness < 48) return 0;
  const half = brightness / 2;
  const basic = (red > half ? 1 : 0) + (green > half ? 2 : 0) + (blue > half ? 4 : 0);
  return brightness > 192 ? basic + 8 : basic;
}
