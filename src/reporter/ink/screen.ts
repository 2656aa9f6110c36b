import { Writable } from "node:stream";

const CLEAR = "\x1b[2J\x1b[H";
const ENTER = `\x1b[?1049h\x1b[?7l\x1b[?25l${CLEAR}`;
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const BEGIN_UPDATE = "\x1b[?2026h";
const END_UPDATE = "\x1b[?2026l";

/**
 * The terminal's alternate screen, drawn on line by line: only lines that changed are written, each at its place, with
 * automatic wrapping off, so that no text can shift another. It is left on exit, crash and signals.
 */
export class AlternateScreen {
  readonly #terminal: NodeJS.WritableStream;
  #shown: string[] = [];
  #wanted: string[] = [];
  #entered = false;
  #waitsForDrain = false;
  readonly #leave = (): void => this.leave();

  constructor(terminal: NodeJS.WritableStream) {
    this.#terminal = terminal;
  }

  /** Switches to the alternate screen. */
  enter(): void {
    if (this.#entered) return;
    this.#entered = true;
    // The exit event comes after a crash's message has been printed: the monitor comes before.
    process.on("uncaughtExceptionMonitor", this.#leave);
    process.on("exit", this.#leave);
    this.#terminal.write(ENTER);
  }

  /** Brings the terminal back to what it showed before. */
  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    process.off("uncaughtExceptionMonitor", this.#leave);
    process.off("exit", this.#leave);
    this.#terminal.write(LEAVE);
  }

  /** Puts texts on lines, counted from 0; while the terminal is still taking in others they wait, the latest of each. */
  draw(lines: Iterable<readonly [line: number, text: string]>): void {
    for (const [line, text] of lines) this.#wanted[line] = text;
    this.#flush();
  }

  /** Forgets what is shown, for a terminal that was resized or written on, and draws the first `height` lines anew. */
  redraw(height: number): void {
    if (!this.#entered) return;
    this.#shown = [];
    this.#wanted.length = Math.min(this.#wanted.length, height);
    this.#terminal.write(CLEAR);
    this.#flush();
  }

  #flush(): void {
    if (!this.#entered || this.#waitsForDrain) return;
    const changes: string[] = [];
    for (const [line, text] of this.#wanted.entries()) {
      if (text === undefined || text === (this.#shown[line] ?? "")) continue;
      changes.push(`\x1b[${line + 1};1H\x1b[0m${text}\x1b[0m\x1b[K`);
      this.#shown[line] = text;
    }
    if (changes.length === 0) return;
    if (this.#terminal.write(`${BEGIN_UPDATE}${changes.join("")}${END_UPDATE}`)) return;
    this.#waitsForDrain = true;
    this.#terminal.once("drain", () => {
      this.#waitsForDrain = false;
      this.#flush();
    });
  }
}

/**
 * What ink takes for its terminal: it gets whatever ink has rendered, line by line. Ink 6.8's own `incrementalRendering` writes lines one row too
 * low when a frame ends in a newline, as it does unless the screen is full, so its `debug` mode and this are used instead.
 */
export class FrameStream extends Writable {
  columns: number;
  rows: number;
  /** Keeps ink from writing cursor codes between frames. */
  readonly isTTY = false;
  readonly #onFrame: (lines: readonly string[]) => void;

  constructor(
    size: { readonly columns: number; readonly rows: number },
    onFrame: (lines: readonly string[]) => void,
  ) {
    super({ decodeStrings: false });
    this.columns = size.columns;
    this.rows = size.rows;
    this.#onFrame = onFrame;
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    const text = String(chunk);
    if (text !== "") this.#onFrame(text.split("\n"));
    done();
  }
}
