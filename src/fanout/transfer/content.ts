import { createHash } from "node:crypto";
import type { FileHandle as LocalHandle } from "node:fs/promises";
import { VolleyError } from "../../core/errors.ts";
import { OPEN } from "../../transport/sftp/codec.ts";
import type { FileHandle } from "../../transport/transport.ts";
import { changedMeanwhile, type TransferContext } from "./context.ts";
import type { LocalFile } from "./local-tree.ts";

/** Write a file from a position to its end, with as many requests in flight as the window has room for. */
export async function writeAll(
  { files, window, tally, signal }: TransferContext,
  handle: FileHandle,
  { size, local: path }: LocalFile,
  local: LocalHandle,
  from: number,
): Promise<void> {
  const chunkBytes = Math.min(files.maxWriteBytes, Math.max(1, size - from));
  // Requests copy their data, so one buffer serves all of them.
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly thrown: unknown } | undefined;
  try {
    for (let position = from; position < size; ) {
      const wanted = Math.min(chunkBytes, size - position);
      await window.take(wanted);
      if (signal.aborted) failure ??= { thrown: new VolleyError("CANCELLED", "cancelled") };
      let bytesRead = 0;
      try {
        if (failure !== undefined) throw failure.thrown;
        ({ bytesRead } = await local.read(buffer, 0, wanted, position));
        if (bytesRead === 0) throw changedMeanwhile(path);
      } catch (thrown) {
        window.give(wanted);
        throw thrown;
      }
      const written = files
        .write(handle, position, buffer.subarray(0, bytesRead))
        .then(
          () => tally.sent(bytesRead),
          (thrown: unknown) => {
            failure ??= { thrown };
          },
        )
        .finally(() => {
          window.give(wanted);
          inFlight.delete(written);
        });
      inFlight.add(written);
      position += bytesRead;
    }
  } finally {
    await Promise.all(inFlight);
  }
  if (failure !== undefined) throw failure.thrown;
}

/** Fail with `FILE_FAILED` when a file has changed since the scan. */
export async function refuseChanged(
  local: LocalHandle,
  { local: path, size, mtimeMs }: LocalFile,
): Promise<void> {
  const now = await local.stat();
  if (now.size !== size || now.mtimeMs !== mtimeMs) throw changedMeanwhile(path);
}

interface ReadInFlight {
  readonly at: number;
  readonly bytes: number;
  readonly reply: Promise<Buffer | null>;
}

/**
 * Read a part of a host's file with as many requests in flight as the window has room for, and pass its pieces on in their
 * order. Resolves with the position of the end, which is before `to` when the file is shorter.
 */
export async function readInOrder(
  { files, window, signal }: TransferContext,
  handle: FileHandle,
  { from, to }: { readonly from: number; readonly to: number },
  take: (piece: Buffer) => Promise<void>,
): Promise<number> {
  const inFlight: ReadInFlight[] = [];
  let asked = from;
  let position = from;
  const askNext = async (): Promise<void> => {
    const bytes = Math.min(files.maxReadBytes, to - asked);
    await window.take(bytes);
    inFlight.push({ at: asked, bytes, reply: files.read(handle, asked, bytes) });
    asked += bytes;
  };
  const ahead = Math.max(1, Math.floor(window.bytes / files.maxReadBytes));
  try {
    while (position < to) {
      // Wait for room only when nothing is in flight here: other files of the host then hold the window and give it back.
      while (asked < to && inFlight.length < ahead) {
        if (inFlight.length > 0 && !window.hasRoom(Math.min(files.maxReadBytes, to - asked))) break;
        await askNext();
      }
      if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled");
      const { at, bytes, reply } = inFlight[0]!;
      let piece = await reply;
      inFlight.shift();
      window.give(bytes);
      // A server may send less than the request: request the rest of the piece.
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
    for (const { bytes, reply } of inFlight) {
      await reply.catch(() => null);
      window.give(bytes);
    }
  }
}

/** Compute the SHA-256 of the first bytes of a file by reading it, for a host that computes no hashes. */
export async function readBackHash(context: TransferContext, path: string, bytes: number): Promise<string> {
  const { files } = context;
  const handle = await files.open(path, OPEN.read);
  try {
    const hash = createHash("sha256");
    await readInOrder(context, handle, { from: 0, to: bytes }, (piece) => {
      hash.update(piece);
      return Promise.resolve();
    });
    return hash.digest("hex");
  } finally {
    files.closeHandle(handle).catch(() => {});
  }
}
