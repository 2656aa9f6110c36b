import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { fileReason } from "../../core/unix/user-file.ts";

/** The standard input of every command, read once per host. */
export interface CommandInput {
  readonly bytes: number;
  /** Write all of it at the reader's pace; give up without an error once `ended` resolves. */
  sendTo(stdin: Writable, ended: Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;

/** Open a file as input. Fails with `USAGE` when it cannot be read. */
export async function openInputFile(path: string): Promise<CommandInput> {
  try {
    const handle = await open(path, "r");
    const stats = await handle.stat();
    // A pipe has no known size, and can be read only once.
    if (!stats.isFile()) return await keepInput(handle.createReadStream());
    return inputOf(handle, stats.size, async () => {});
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

/** Read a stream to its end into a temporary file that only this user can read; `close` removes it. */
export async function keepInput(stream: Readable): Promise<CommandInput> {
  const directory = await mkdtemp(join(tmpdir(), "volley-stdin-"));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  try {
    const handle = await open(join(directory, "stdin"), "wx+", 0o600);
    let bytes = 0;
    for await (const chunk of stream) bytes += (await handle.write(chunk as Buffer)).bytesWritten;
    return inputOf(handle, bytes, remove);
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}

function inputOf(handle: FileHandle, bytes: number, remove: () => Promise<void>): CommandInput {
  return {
    bytes,
    sendTo: async (stdin, ended) => {
      let isOver = false;
      const over = ended.then(() => {
        isOver = true;
      });
      for (let position = 0; position < bytes && !isOver; ) {
        const { bytesRead, buffer } = await handle.read(
          Buffer.allocUnsafe(CHUNK_BYTES),
          0,
          CHUNK_BYTES,
          position,
        );
        // The file became shorter: the host notices missing bytes.
        if (bytesRead === 0) break;
        position = Math.min(bytes, position + bytesRead);
        const chunk = buffer.subarray(0, bytesRead);
        if (!stdin.write(chunk))
          await Promise.race([over, new Promise((resolve) => stdin.once("drain", resolve))]);
      }
    },
    close: async () => {
      await handle.close();
      await remove();
    },
  };
}
