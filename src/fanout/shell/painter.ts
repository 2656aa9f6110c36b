import type { Writable } from "node:stream";
import { type DiffOptions, diffFrames, type Frame } from "./cell-diff.ts";

/** Keeps a terminal up to date. */
export interface Painter {
  /** Asks for what is now to be seen; it is drawn soon, at most 30 times a second, and never faster than the terminal reads. */
  invalidate(): void;
  /** Forgets what the terminal shows, and draws all of it. */
  redraw(): void;
  /** Draws nothing any more. */
  stop(): void;
}

const FRAME_MS = 33;

/** Draws what `compose` gives. A terminal that reads slowly gets fewer frames, not later ones. */
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
