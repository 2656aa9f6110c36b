import { formatNodeSet } from "../node-set.ts";
import { cutText, type WidthOf } from "./cells.ts";
import { createEmulator, type Emulator, type TerminalSize } from "./emulator.ts";
import { runFolded } from "./fold-run.ts";
import type { Pane } from "./pane.ts";

/** The screen of fold mode: answers, one below the other, to look back through. */
export interface FoldScreen {
  readonly emulator: Emulator;
  /** Lines scrolled back. */
  readonly offset: number;
  readonly isRunning: boolean;
  /** Runs a line in hosts' shells; resolves when all answers are there. */
  run(line: string, panes: readonly Pane[]): Promise<void>;
  /** Interrupts what runs. */
  cancel(): void;
  /** Positive: back. */
  scroll(lines: number): void;
  resize(size: TerminalSize): void;
  close(): void;
}

/** What it is made for. */
export interface FoldScreenOptions extends TerminalSize {
  readonly widthOf: WidthOf;
  readonly changed: () => void;
}

const SCROLLBACK_LINES = 10_000;

/** An empty one. */
export function createFoldScreen({ widthOf, changed, ...size }: FoldScreenOptions): FoldScreen {
  const emulator = createEmulator({
    ...size,
    scrollback: SCROLLBACK_LINES,
    widthOf,
    listener: { reply: () => {}, bell: () => {}, title: () => {} },
  });
  let offset = 0;
  let running: AbortController | undefined;
  const write = async (text: string): Promise<void> => {
    await emulator.write(text.replaceAll("\n", "\r\n"));
    changed();
  };
  void write(
    "\x1b[1mFold mode\x1b[m: a line runs in every host's shell, equal answers are shown once.\n" +
      "\x1b[2mIt has no terminal and no input. PgUp and PgDn look back, Escape leaves.\x1b[m\n",
  );
  return {
    emulator,
    get offset() {
      return offset;
    },
    get isRunning() {
      return running !== undefined;
    },
    run: async (line, panes) => {
      running = new AbortController();
      offset = 0;
      try {
        await write(`\n\x1b[1m$ ${line}\x1b[m\n`);
        const start = emulator.scrollback + (emulator.position.row - 1);
        const { signal } = running;
        const progress = (waiting: readonly string[]): void => {
          const left = waiting.length === 0 ? "" : `, Ctrl-C interrupts ${formatNodeSet(waiting)}`;
          const text = cutText(
            `${panes.length - waiting.length} of ${panes.length}${left}`,
            emulator.size.columns - 1,
            widthOf,
          );
          void write(`\r${text}\x1b[K`);
        };
        await runFolded({ line, panes, progress, write: (text) => write(`\r\x1b[K${text}`), signal });
        // The first answer is read first.
        offset = Math.max(0, emulator.scrollback - start);
      } finally {
        running = undefined;
        changed();
      }
    },
    cancel: () => running?.abort(),
    scroll: (lines) => {
      offset = Math.min(emulator.scrollback, Math.max(0, offset + lines));
      changed();
    },
    resize: (next) => emulator.resize(next),
    close: () => {
      running?.abort();
      emulator.close();
    },
  };
}
