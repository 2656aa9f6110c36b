import type { Writable } from "node:stream";
import type { ServerChannel } from "ssh2";

/** Writes to one channel, one chunk at a time. */
export interface ChannelWriter {
  /** Resolves once the client's window had room for the chunk, or the channel is gone. */
  write(chunk: Buffer, stream?: "stdout" | "stderr"): Promise<void>;
}

interface StalledWrites {
  _chunk: undefined;
  _chunkcb: undefined;
  _chunkErr: undefined;
  _chunkcbErr: undefined;
}

const nothingStalled: StalledWrites = {
  _chunk: undefined,
  _chunkcb: undefined,
  _chunkErr: undefined,
  _chunkcbErr: undefined,
};

/**
 * Serialises a channel's stdout and stderr.
 *
 * ssh2 1.17 never forgets a write that once stalled on the window, and takes it up again when the other stream stalls
 * later: output is repeated and the other stream waits for ever. So only one write is ever under way, and what was
 * sent is forgotten.
 */
export function createChannelWriter(channel: ServerChannel, closed: AbortSignal): ChannelWriter {
  let tail: Promise<void> = Promise.resolve();
  let release: (() => void) | undefined;
  // A channel that closes while its window is exhausted never calls back.
  closed.addEventListener("abort", () => release?.(), { once: true });

  const send = (target: Writable, chunk: Buffer): Promise<void> =>
    new Promise((resolve) => {
      if (closed.aborted || !target.writable) return resolve();
      release = resolve;
      target.write(chunk, () => {
        Object.assign(channel, nothingStalled);
        resolve();
      });
    });

  return {
    write(chunk, stream = "stdout") {
      tail = tail.then(() => send(stream === "stdout" ? channel : channel.stderr, chunk));
      return tail;
    },
  };
}
