import { VolleyError } from "../../core/errors.ts";
import type { FileHandle } from "../../transport/file-session.ts";
import type { TransferContext } from "./context.ts";

interface Flying {
  readonly at: number;
  readonly bytes: number;
  readonly reply: Promise<Buffer | null>;
}

/**
 * Reads a part of a host's file with as many requests under way as the window has room for, and gives its pieces in
 * their order. Resolves with where it ended, which is before `to` when the file does.
 */
export async function readInOrder(
  { files, window, signal }: TransferContext,
  handle: FileHandle,
  { from, to }: { readonly from: number; readonly to: number },
  take: (piece: Buffer) => Promise<void>,
): Promise<number> {
  const flying: Flying[] = [];
  let asked = from;
  let position = from;
  const askNext = async (): Promise<void> => {
    const bytes = Math.min(files.maxReadBytes, to - asked);
    await window.take(bytes);
    flying.push({ at: asked, bytes, reply: files.read(handle, asked, bytes) });
    asked += bytes;
  };
  const ahead = Math.max(1, Math.floor(window.bytes / files.maxReadBytes));
  try {
    while (position < to) {
      // What is waited for here is given back by other files of the host, or by none when this one has it all.
      while (asked < to && flying.length < ahead) {
        if (flying.length > 0 && !window.hasRoom(Math.min(files.maxReadBytes, to - asked))) break;
        await askNext();
      }
      if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled");
      const { at, bytes, reply } = flying[0]!;
      let piece = await reply;
      flying.shift();
      window.give(bytes);
      // Servers may give less than was asked for: the rest of the piece is asked for again.
      while (piece !== null) {
        await take(piece);
        position += piece.length;
        const left = at + bytes - position;
        piece = left > 0 ? await files.read(handle, position, left) : null;
        if (left > 0 && piece === null) return position;
      }
      if (position < at + bytes) return position;
    }
    return position;
  } finally {
    for (const { bytes, reply } of flying) {
      await reply.catch(() => null);
      window.give(bytes);
    }
  }
}
