import { writeSync } from "node:fs";
import type { Writable } from "node:stream";
import { WriteStream } from "node:tty";
import { type CellStyle, type Cells, type ColorDepth, DEFAULT_COLOR, PLAIN, sgrBetween } from "./cells.ts";

// The real terminal: taking it over, painting frames in time, and the difference between two frames.

/** The real terminal while the shell uses it. */
interface TerminalScreen {
  /** The stream for frames; it does not block on a terminal that does not read. */
  readonly output: WriteStream;
  /** Take the terminal over again, after SIGCONT. */
  enter(): void;
  /** Restore the terminal. Safe to repeat. */
  leave(): void;
}

/** The streams of this process's terminal. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream & { readonly fd: number };
}

/** The alternate screen, normal cursor keys, bracketed pastes; no title, no mouse. */
const ENTER = "\x1b[?1049h\x1b[m\x1b[2J\x1b[H\x1b[?1l\x1b[?2004h";
const LEAVE = "\x1b[?2026l\x1b[m\x1b[?2004l\x1b[?25h\x1b[?1049l";

interface Blocking {
  readonly _handle?: { setBlocking?(blocking: boolean): unknown };
}

/** Texts written to the terminal when it is taken over, and when it is given back. */
interface TerminalTexts {
  readonly enter: string;
  leave(): string;
}

const FRAMES: TerminalTexts = { enter: ENTER, leave: () => LEAVE };

/**
 * Take the terminal over: raw mode and, unless other texts are given, the alternate screen. `leave` restores it, and so
 * does the end of this process, also by an uncaught error.
 */
export function takeTerminal(
  { stdin, stdout }: TerminalStreams,
  texts: TerminalTexts = FRAMES,
): TerminalScreen {
  // A separate stream: process.stdout would block, and its errors concern other code.
  const output = new WriteStream(stdout.fd);
  (output as unknown as Blocking)._handle?.setBlocking?.(false);
  // A signal reports a lost terminal.
  output.on("error", () => {});
  let isTaken = false;
  const giveBack = (write: (text: string) => void): void => {
    if (!isTaken) return;
    isTaken = false;
    process.off("exit", onCrash);
    process.off("uncaughtExceptionMonitor", onCrash);
    try {
      stdin.setRawMode(false);
      write(texts.leave());
    } catch {
      // The terminal is gone.
    }
  };
  // Synchronous: the event loop is over.
  const onCrash = (): void => giveBack((text) => writeSync(stdout.fd, text));
  const enter = (): void => {
    if (!isTaken) {
      process.on("exit", onCrash);
      // Before the crash's message is printed.
      process.prependListener("uncaughtExceptionMonitor", onCrash);
    }
    isTaken = true;
    stdin.setRawMode(true);
    output.write(texts.enter);
  };
  enter();
  return { output, enter, leave: () => giveBack((text) => output.write(text)) };
}

/** Draws frames on a terminal. */
interface Painter {
  /** Request a frame; at most 30 per second are drawn, and no more than the terminal reads. */
  invalidate(): void;
  /** Draw everything, whatever the terminal shows. */
  redraw(): void;
  /** Draw no more frames. */
  stop(): void;
}

const FRAME_MS = 33;

/** Make a painter of the frames of `compose`. A slow terminal gets fewer frames, not later ones. */
export function createPainter(terminal: Writable, compose: () => Frame, options: DiffOptions): Painter {
  let shown: Frame | undefined;
  let isWanted = false;
  let isWriting = false;
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let paintedAt = Number.NEGATIVE_INFINITY;
  const paint = (): void => {
    timer = undefined;
    if (isWriting || isStopped || !isWanted) return;
    isWanted = false;
    const frame = compose();
    const text = diffFrames(shown, frame, options);
    shown = frame;
    paintedAt = performance.now();
    if (text === "") return;
    isWriting = true;
    terminal.write(text, () => {
      isWriting = false;
      schedule();
    });
  };
  const schedule = (): void => {
    if (!isWanted || isWriting || isStopped || timer !== undefined) return;
    const wait = FRAME_MS - (performance.now() - paintedAt);
    timer = setTimeout(paint, Math.max(0, wait));
  };
  return {
    invalidate: () => {
      isWanted = true;
      schedule();
    },
    redraw: () => {
      shown = undefined;
      isWanted = true;
      schedule();
    },
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** The content of a screen. */
export interface Frame {
  readonly cells: Cells;
  /** Undefined when hidden. */
  readonly cursor: { readonly column: number; readonly row: number } | undefined;
}

/** Abilities of the real terminal. */
interface DiffOptions {
  readonly depth: ColorDepth;
  /** True for a terminal that shows only ASCII. */
  readonly ascii: boolean;
}

const BEGIN = "\x1b[?2026h\x1b[?25l";
const END = "\x1b[?2026l";
const CLEAR = "\x1b[m\x1b[2J";
/** A cursor move costs at least four bytes: up to this many cells are cheaper to write again. */
const BRIDGED_CELLS = 3;
const ERASED_CELLS = 8;

/** Characters of certain width on all terminals: Latin, Greek, Cyrillic, dashes, arrows, boxes, Braille. */
const CERTAIN =
  /^[\x20-\x7e\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2190-\u2193\u2500-\u25fc\u2800-\u28ff]$/;

/**
 * Return the output that turns one frame into another: the differing cells, in one synchronised update (DEC private
 * mode 2026); empty for equal frames. Without a frame before, it clears the screen.
 */
export function diffFrames(before: Frame | undefined, after: Frame, options: DiffOptions): string {
  const { cells, cursor } = after;
  const known =
    before !== undefined && before.cells.columns === cells.columns && before.cells.rows === cells.rows
      ? before
      : undefined;
  const body = diffCells(known?.cells, cells, options);
  const isSameCursor =
    known !== undefined && known.cursor?.column === cursor?.column && known.cursor?.row === cursor?.row;
  if (known !== undefined && body === "" && isSameCursor) return "";
  const shown = cursor === undefined ? "" : `${moveTo(cursor.column, cursor.row)}\x1b[?25h`;
  return `${BEGIN}${known === undefined ? CLEAR : ""}${body}${shown}${END}`;
}

function diffCells(before: Cells | undefined, after: Cells, { depth, ascii }: DiffOptions): string {
  const { columns, rows, chars } = after;
  let text = "";
  let look: CellStyle = PLAIN;
  const setLook = (index: number): void => {
    const next = lookAt(after, index);
    text += sgrBetween(look, next, depth);
    look = next;
  };
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const differs = (column: number): boolean =>
      isChanged(before, after, start + column) ||
      (column + 1 < columns &&
        chars[start + column + 1] === "" &&
        isChanged(before, after, start + column + 1));
    const blankFrom = blankSince(after, row);
    /** The cursor's column in this row; -1 for unknown. */
    let at = -1;
    for (let column = 0; column < columns; column++) {
      const index = start + column;
      // A wide character is written with its left half.
      if (chars[index] === "" || !differs(column)) continue;
      if (at !== column) {
        if (at >= 0 && column - at <= BRIDGED_CELLS && canBridge(after, start + at, index, look))
          text += chars.slice(start + at, index).join("");
        else text += at >= 0 && column > at ? `\x1b[${column - at}C` : moveTo(column, row);
      }
      if (
        column >= blankFrom &&
        countChanged(before, after, start + column, start + columns) >= ERASED_CELLS
      ) {
        text += sgrBetween(look, PLAIN, depth);
        look = PLAIN;
        text += "\x1b[K";
        break;
      }
      setLook(index);
      const width = chars[index + 1] === "" && column + 1 < columns ? 2 : 1;
      const char = chars[index]!;
      text += ascii ? asciiFor(char).repeat(width) : char;
      // Terminals differ in the cursor's place after the last column.
      at = (ascii || CERTAIN.test(char)) && column + width < columns ? column + width : -1;
    }
  }
  return text + sgrBetween(look, PLAIN, depth);
}

function moveTo(column: number, row: number): string {
  return column === 0 ? `\x1b[${row + 1}H` : `\x1b[${row + 1};${column + 1}H`;
}

function isChanged(before: Cells | undefined, after: Cells, index: number): boolean {
  if (before === undefined) return !isBlank(after, index);
  return (
    before.chars[index] !== after.chars[index] ||
    before.foreground[index] !== after.foreground[index] ||
    before.background[index] !== after.background[index] ||
    before.flags[index] !== after.flags[index]
  );
}

function isBlank({ chars, foreground, background, flags }: Cells, index: number): boolean {
  return (
    chars[index] === " " &&
    background[index] === DEFAULT_COLOR &&
    foreground[index] === DEFAULT_COLOR &&
    flags[index] === 0
  );
}

/** Return the first column of a row's blank end. */
function blankSince(cells: Cells, row: number): number {
  let column = cells.columns;
  while (column > 0 && isBlank(cells, row * cells.columns + column - 1)) column--;
  return column;
}

function countChanged(before: Cells | undefined, after: Cells, from: number, to: number): number {
  let count = 0;
  for (let index = from; index < to && count < ERASED_CELLS; index++)
    if (isChanged(before, after, index)) count++;
  return count;
}

/** Tell whether cells can be written again in the current style. */
function canBridge(cells: Cells, from: number, to: number, look: CellStyle): boolean {
  for (let index = from; index < to; index++) {
    const char = cells.chars[index]!;
    if (char.length !== 1 || char < " " || char > "~") return false;
    if (cells.flags[index] !== look.flags || cells.foreground[index] !== look.foreground) return false;
    if (cells.background[index] !== look.background) return false;
  }
  return true;
}

function lookAt({ foreground, background, flags }: Cells, index: number): CellStyle {
  return { foreground: foreground[index]!, background: background[index]!, flags: flags[index]! };
}

const ASCII_SIGNS: Readonly<Record<string, string>> = {
  "─": "-",
  "━": "-",
  "│": "|",
  "┃": "|",
  "…": ".",
  "●": "*",
  "○": "o",
  "✘": "x",
  "❯": ">",
  "·": ".",
};

function asciiFor(char: string): string {
  if (char >= " " && char <= "~") return char;
  const code = char.codePointAt(0)!;
  return ASCII_SIGNS[char] ?? (code >= 0x2500 && code < 0x2580 ? "+" : "?");
}
