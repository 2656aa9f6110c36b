import type { Readable } from "node:stream";

/** An ended process counts as silent after so long: a child that it left behind may hold its output open forever. */
const SILENT_MS = 1_000;
/** Silence of a child that writes now and then adds up to this. */
const PIECES_MS = 3_000;
const PIECE_MS = 100;
/** The ended process itself cannot have left more than this: pipes and windows hold less. */
const MAX_BYTES = 16 << 20;

/**
 * Read on what a process that has just ended may still have written; call `close` when no more is to be expected, unless
 * the streams end before. Data that its reader has not taken yet is kept as long as it takes.
 */
export function closeWhenSilent(streams: readonly Readable[], close: () => void): void {
  let heardAt = performance.now();
  let bytes = 0;
  let quietMs = 0;
  const hear = (): void => {
    const gapMs = performance.now() - heardAt;
    if (gapMs >= PIECE_MS) quietMs += gapMs;
    heardAt += gapMs;
  };
  for (const stream of streams) {
    const push = stream.push.bind(stream);
    stream.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
      hear();
      bytes += chunk?.length ?? 0;
      return push(chunk, encoding);
    };
  }
  // At once: the timer alone would keep a process alive that has nothing else left to do.
  const clearWhenEnded = (): void => {
    if (streams.every((stream) => stream.readableEnded || stream.destroyed)) clearInterval(timer);
  };
  for (const stream of streams) stream.once("end", clearWhenEnded).once("close", clearWhenEnded);
  const timer = setInterval(() => {
    // A reader that is behind is no silence.
    if (streams.some((stream) => stream.readableLength > 0)) {
      heardAt = performance.now();
      return;
    }
    const gapMs = performance.now() - heardAt;
    if (gapMs < SILENT_MS && quietMs + gapMs < PIECES_MS && bytes < MAX_BYTES) return;
    clearInterval(timer);
    close();
  }, PIECE_MS);
  // The streams may have ended before the process.
  clearWhenEnded();
}
