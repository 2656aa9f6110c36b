import { type CellStyle, DEFAULT_COLOR, FLAGS, RGB } from "./cells.ts";

/** Bits of colour a terminal shows, as `tty.WriteStream.getColorDepth` gives them: 1 is none. */
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

/** The shortest Select Graphic Rendition (ECMA-48 8.3.117) from one style to another; empty when they look the same. */
export function sgrBetween(before: CellStyle, after: CellStyle, depth: ColorDepth): string {
  const [from, to] = [withDepth(before, depth), withDepth(after, depth)];
  if (isSame(from, to)) return "";
  const isPlain = to.flags === 0 && to.foreground === DEFAULT_COLOR && to.background === DEFAULT_COLOR;
  if (isPlain) return "\x1b[m";
  // Attributes can only be taken away together: 22 ends both bold and dim.
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

/** The colour as a terminal of less depth shows it best. */
function nearest(color: number, depth: ColorDepth): number {
  if (color === DEFAULT_COLOR || depth === 24) return color;
  if (depth === 1) return DEFAULT_COLOR;
  const indexed = color >= RGB ? indexOf(channels(color)) : color;
  return depth === 8 || indexed < 16 ? indexed : basicOf(indexedChannels(indexed));
}

function channels(color: number): readonly [number, number, number] {
  return [(color >> 16) & 0xff, (color >> 8) & 0xff, color & 0xff];
}

/** xterm's palette: a cube of 6×6×6 from 16, grays from 232. */
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
