import { writeSync } from "node:fs";
import { WriteStream } from "node:tty";

/** The real terminal, taken over. */
export interface TerminalScreen {
  /** Where frames are written; a terminal that does not read blocks nobody. */
  readonly output: WriteStream;
  /** Takes it over again, as after having been stopped. */
  enter(): void;
  /** Gives it back as it was. Safe to repeat. */
  leave(): void;
}

/** What a terminal is made of: those of this process. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream & { readonly fd: number };
}

/** The other screen, normal cursor keys, brackets around pastes; no title and no mouse. */
const ENTER = "\x1b[?1049h\x1b[m\x1b[2J\x1b[H\x1b[?1l\x1b[?2004h";
const LEAVE = "\x1b[?2026l\x1b[m\x1b[?2004l\x1b[?25h\x1b[?1049l";

interface Blocking {
  readonly _handle?: { setBlocking?(blocking: boolean): unknown };
}

/**
 * Takes the terminal over: raw mode, and the screen that programs like editors use. It is given back by `leave`, and
 * whenever this process ends by itself, also through an error that nobody caught.
 */
export function takeTerminal({ stdin, stdout }: TerminalStreams): TerminalScreen {
  // A stream of its own: writes to process.stdout wait for the terminal, and its errors are others' business.
  const output = new WriteStream(stdout.fd);
  (output as unknown as Blocking)._handle?.setBlocking?.(false);
  // A terminal that is gone is noticed by the signal that tells of it.
  output.on("error", () => {});
  let isTaken = false;
  const giveBack = (write: (text: string) => void): void => {
    if (!isTaken) return;
    isTaken = false;
    process.off("exit", onCrash);
    process.off("uncaughtExceptionMonitor", onCrash);
    try {
      stdin.setRawMode(false);
      write(LEAVE);
    } catch {
      // It is gone.
    }
  };
  // Nothing is written in the background any more.
  const onCrash = (): void => giveBack((text) => writeSync(stdout.fd, text));
  const enter = (): void => {
    if (!isTaken) {
      process.on("exit", onCrash);
      process.on("uncaughtExceptionMonitor", onCrash);
    }
    isTaken = true;
    stdin.setRawMode(true);
    output.write(ENTER);
  };
  enter();
  return { output, enter, leave: () => giveBack((text) => output.write(text)) };
}
