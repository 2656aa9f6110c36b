const CLEAR = "\x1b[2J\x1b[H";
const ENTER = `\x1b[?1049h\x1b[?7l\x1b[?25l${CLEAR}`;
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/**
 * The terminal's alternate screen, without automatic wrapping, so that no text can shift another. Ink's own
 * `alternateScreen` is left after the message of a crash was printed, which hides that message; this one before.
 */
export class AlternateScreen {
  readonly #terminal: NodeJS.WritableStream;
  readonly #beforeLeaving: () => void;
  #entered = false;
  readonly #leave = (): void => this.leave();
  readonly #onUncaught = (): void => {
    // With a handler, as for the code of hosts worked on directly, the process and its screen go on.
    if (process.listenerCount("uncaughtException") === 0) this.leave();
  };

  /** `beforeLeaving` ends whatever still draws. */
  constructor(terminal: NodeJS.WritableStream, beforeLeaving: () => void = () => {}) {
    this.#terminal = terminal;
    this.#beforeLeaving = beforeLeaving;
  }

  /** Switch to the alternate screen; exit and crash switch back. */
  enter(): void {
    if (this.#entered) return;
    this.#entered = true;
    // A crash's message is printed by a later monitor, or between the monitors and the exit event.
    process.prependListener("uncaughtExceptionMonitor", this.#onUncaught);
    process.on("exit", this.#leave);
    this.#terminal.write(ENTER);
  }

  /** Erase everything, and put the cursor into the first cell. */
  clear(): void {
    if (this.#entered) this.#terminal.write(CLEAR);
  }

  /** Bring the terminal back to what it showed before. */
  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    process.off("uncaughtExceptionMonitor", this.#onUncaught);
    process.off("exit", this.#leave);
    this.#beforeLeaving();
    this.#terminal.write(LEAVE);
  }
}
