import type { Readable } from "node:stream";

/** A process has ended when its output has been silent for so long: a child that it left behind may hold it for ever. */
const SILENT_MS = 1_000;
/** Silence in pieces, of a child that says something now and then, counts together. */
const PIECES_MS = 3_000;
const PIECE_MS = 100;
/** More than this is not the ended process's own: pipes and windows hold less. */
const MAX_BYTES = 16 << 20;

/**
 * Reads on what a process that has just ended may still have written, and calls `leave` once no more is to be expected,
 * unless its streams end before that. What nobody has read yet is waited for as long as it takes.
 */
export function leaveWhenSilent(streams: readonly Readable[], leave: () => void): void {
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
  // At once, or a process that has nothing else left to do would stay for the timer alone.
  const stopWhenEnded = (): void => {
    if (streams.every((stream) => stream.readableEnded || stream.destroyed)) clearInterval(timer);
  };
  for (const stream of streams) stream.once("end", stopWhenEnded).once("close", stopWhenEnded);
  const timer = setInterval(() => {
    // Whoever reads is behind: that is no silence.
    if (streams.some((stream) => stream.readableLength > 0)) {
      heardAt = performance.now();
      return;
    }
    const gapMs = performance.now() - heardAt;
    if (gapMs < SILENT_MS && quietMs + gapMs < PIECES_MS && bytes < MAX_BYTES) return;
    clearInterval(timer);
    leave();
  }, PIECE_MS);
  // The streams may have ended before the process.
  stopWhenEnded();
}
