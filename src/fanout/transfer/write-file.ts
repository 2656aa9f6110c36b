import type { FileHandle as LocalHandle } from "node:fs/promises";
import { VolleyError } from "../../core/errors.ts";
import type { FileHandle } from "../../transport/file-session.ts";
import type { TransferContext } from "./context.ts";
import { changedMeanwhile } from "./failures.ts";
import type { LocalFile } from "./local-tree.ts";

/** Writes from a position to the end, as much at a time as the window has room for. */
export async function writeAll(
  { files, window, tally, signal }: TransferContext,
  handle: FileHandle,
  { size, local: path }: LocalFile,
  local: LocalHandle,
  from: number,
): Promise<void> {
  const chunkBytes = Math.min(files.maxWriteBytes, Math.max(1, size - from));
  // Requests are copies: one buffer serves all of them.
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const flying = new Set<Promise<void>>();
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
          flying.delete(written);
        });
      flying.add(written);
      position += bytesRead;
    }
  } finally {
    await Promise.all(flying);
  }
  if (failure !== undefined) throw failure.thrown;
}

/** Fails with `FILE_FAILED` when a file is not any more the one that was looked at. */
export async function refuseChanged(
  local: LocalHandle,
  { local: path, size, mtimeMs }: LocalFile,
): Promise<void> {
  const now = await local.stat();
  if (now.size !== size || now.mtimeMs !== mtimeMs) throw changedMeanwhile(path);
}
