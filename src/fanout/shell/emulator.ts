import xterm from "@xterm/headless";
import type { TerminalSize } from "../../transport/transport.ts";
import {
  type Area,
  type CellStyle,
  type Cells,
  DEFAULT_COLOR,
  FLAGS,
  PLAIN,
  RGB,
  safeCharacter,
  setCell,
  type WidthOf,
} from "./cells.ts";

/** Modes, set by a program, that change the bytes of keys. */
export interface KeyModes {
  /** DECCKM: cursor keys send `ESC O` instead of `ESC [`. */
  readonly applicationCursorKeys: boolean;
  readonly bracketedPaste: boolean;
}

/** Receives events of a terminal. */
interface EmulatorListener {
  /** The answer to a program's query, for that program only. */
  reply(text: string): void;
  bell(): void;
  title(text: string): void;
}

/** A headless terminal. No sequence written to it reaches the real terminal. */
export interface Emulator {
  readonly size: TerminalSize;
  readonly modes: KeyModes;
  /** True when a program uses the alternate screen, as editors and pagers do. */
  readonly isAlternate: boolean;
  /** Number of lines kept above the screen. */
  readonly scrollback: number;
  /** Undefined when the program has hidden it. */
  readonly cursor: { readonly column: number; readonly row: number } | undefined;
  /** The cursor's place, also when hidden. */
  readonly position: { readonly column: number; readonly row: number };
  /** Write bytes; resolves when they have been processed. */
  write(bytes: Uint8Array | string): Promise<void>;
  resize(size: TerminalSize): void;
  /** Draw the screen, `offset` lines back, into an area, cut to its size. */
  draw(cells: Cells, area: Area, offset: number): void;
  /** Return the screen's lines without trailing blanks. */
  text(): readonly string[];
  close(): void;
}

/** Options of {@link createEmulator}. */
interface EmulatorOptions extends TerminalSize {
  /** Lines to keep above the screen. */
  readonly scrollback: number;
  readonly widthOf: WidthOf;
  readonly listener: EmulatorListener;
}

const CURSOR_VISIBLE_MODE = 25;
const MAX_TITLE = 256;

/** Make a headless xterm, which understands xterm's ctlseqs and ignores unknown sequences. */
export function createEmulator({ columns, rows, scrollback, widthOf, listener }: EmulatorOptions): Emulator {
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    scrollback,
    allowProposedApi: true,
    logLevel: "off",
  });
  registerWidths(terminal, widthOf);
  let isCursorShown = true;
  const setMode = (shown: boolean) => (params: (number | number[])[]) => {
    if (params.includes(CURSOR_VISIBLE_MODE)) isCursorShown = shown;
    return false;
  };
  // xterm's API does not report a hidden cursor (DECTCEM).
  terminal.parser.registerCsiHandler({ prefix: "?", final: "h" }, setMode(true));
  terminal.parser.registerCsiHandler({ prefix: "?", final: "l" }, setMode(false));
  const showCursor = (): boolean => {
    isCursorShown = true;
    return false;
  };
  terminal.parser.registerEscHandler({ final: "c" }, showCursor);
  terminal.parser.registerCsiHandler({ intermediates: "!", final: "p" }, showCursor);
  terminal.onData((text) => listener.reply(text));
  terminal.onBell(() => listener.bell());
  terminal.onTitleChange((text) => listener.title(text.slice(0, MAX_TITLE)));
  const position = (): { readonly column: number; readonly row: number } => {
    const { cursorX, cursorY } = terminal.buffer.active;
    return { column: Math.min(cursorX, terminal.cols - 1), row: cursorY };
  };
  const spare = terminal.buffer.active.getNullCell();

  return {
    get size() {
      return { columns: terminal.cols, rows: terminal.rows };
    },
    get modes() {
      const { applicationCursorKeysMode, bracketedPasteMode } = terminal.modes;
      return { applicationCursorKeys: applicationCursorKeysMode, bracketedPaste: bracketedPasteMode };
    },
    get isAlternate() {
      return terminal.buffer.active.type === "alternate";
    },
    get scrollback() {
      return terminal.buffer.active.baseY;
    },
    get cursor() {
      return isCursorShown ? position() : undefined;
    },
    get position() {
      return position();
    },
    write: (bytes) => new Promise((resolve) => terminal.write(bytes, resolve)),
    resize: (size) => terminal.resize(size.columns, size.rows),
    draw: (cells, area, offset) => {
      const buffer = terminal.buffer.active;
      const first = Math.max(0, buffer.baseY - offset);
      for (let row = 0; row < Math.min(area.rows, terminal.rows); row++) {
        const line = buffer.getLine(first + row);
        if (line === undefined) continue;
        const width = Math.min(area.columns, terminal.cols, line.length);
        for (let column = 0; column < width; column++) {
          const cell = line.getCell(column, spare);
          if (cell === undefined) break;
          const look = cell.isAttributeDefault() ? PLAIN : lookOf(cell);
          // At the edge, a wide character would overwrite the neighbouring cell.
          const isCut = cell.getWidth() === 2 && column + 1 >= width;
          const chars = cell.getWidth() === 0 ? "" : isCut ? " " : safeCharacter(cell.getChars());
          setCell(cells, area.column + column, area.row + row, chars, look);
        }
      }
    },
    text: () => {
      const buffer = terminal.buffer.active;
      return Array.from(
        { length: terminal.rows },
        (_, row) => buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? "",
      );
    },
    close: () => terminal.dispose(),
  };
}

type Cell = ReturnType<xterm.Terminal["buffer"]["active"]["getNullCell"]>;

function lookOf(cell: Cell): CellStyle {
  const flags =
    (cell.isBold() ? FLAGS.bold : 0) |
    (cell.isDim() ? FLAGS.dim : 0) |
    (cell.isItalic() ? FLAGS.italic : 0) |
    (cell.isUnderline() ? FLAGS.underline : 0) |
    (cell.isBlink() ? FLAGS.blink : 0) |
    (cell.isInverse() ? FLAGS.inverse : 0) |
    (cell.isInvisible() ? FLAGS.invisible : 0) |
    (cell.isStrikethrough() ? FLAGS.strikethrough : 0) |
    (cell.isOverline() ? FLAGS.overline : 0);
  return {
    flags,
    foreground: cell.isFgDefault() ? DEFAULT_COLOR : cell.getFgColor() | (cell.isFgRGB() ? RGB : 0),
    background: cell.isBgDefault() ? DEFAULT_COLOR : cell.getBgColor() | (cell.isBgRGB() ? RGB : 0),
  };
}

const VERSION = "volley";
const FIRST_UNUSUAL = 0x300;

/** Make a terminal use `widthOf`: xterm's own widths are those of Unicode 6, with narrow emoji. */
function registerWidths(terminal: xterm.Terminal, widthOf: WidthOf): void {
  const known = new Map<number, 0 | 1 | 2>();
  const wcwidth = (codePoint: number): 0 | 1 | 2 => {
    if (codePoint < FIRST_UNUSUAL) return 1;
    const width =
      known.get(codePoint) ?? (Math.min(2, widthOf(String.fromCodePoint(codePoint))) as 0 | 1 | 2);
    known.set(codePoint, width);
    return width;
  };
  terminal.unicode.register({
    version: VERSION,
    wcwidth,
    // xterm packs a character's properties: bit 0 joins it to the one before, bits 1 and 2 are its width.
    charProperties: (codePoint, preceding) => {
      const width = wcwidth(codePoint);
      const before = (preceding >> 1) & 3;
      const isJoined = width === 0 && preceding !== 0 && before !== 0;
      return ((isJoined ? before : width) << 1) | (isJoined ? 1 : 0);
    },
  });
  terminal.unicode.activeVersion = VERSION;
}
