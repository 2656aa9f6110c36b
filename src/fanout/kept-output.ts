import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What a host printed, kept to be shown later. */
export interface KeptOutput {
  readonly bytes: number;
  /** The same for the same bytes. */
  readonly digest: string;
  /** Reads it from its beginning. */
  read(): AsyncIterable<Buffer>;
  /** As text, or undefined when it is longer than this many bytes, or is none. */
  text(maxBytes: number): Promise<string | undefined>;
  discard(): Promise<void>;
}

/** Takes output in until it ends. */
export interface OutputKeeper {
  /** A promise when it must be waited for. Rejects when the disk is full. */
  add(chunk: Buffer): Promise<void> | undefined;
  finish(): Promise<KeptOutput>;
}

/** Where output that is too long for memory goes. */
export interface OutputStore {
  keeper(): OutputKeeper;
  /** Removes everything. */
  close(): Promise<void>;
}

const IN_MEMORY_BYTES = 16 * 1024;

/** A store with a directory that only this user can read, made when the first output is too long. */
export function createOutputStore(): OutputStore {
  let directory: Promise<string> | undefined;
  let files = 0;
  const openFile = async (): Promise<{ readonly path: string; readonly handle: FileHandle }> => {
    directory ??= mkdtemp(join(tmpdir(), "volley-output-"));
    const path = join(await directory, String(++files));
    return { path, handle: await open(path, "wx", 0o600) };
  };
  return {
    keeper: () => createKeeper(openFile),
    close: async () => {
      if (directory !== undefined) await rm(await directory, { recursive: true, force: true });
    },
  };
}

function createKeeper(
  openFile: () => Promise<{ readonly path: string; readonly handle: FileHandle }>,
): OutputKeeper {
  const hash = createHash("sha256");
  let bytes = 0;
  let memory: Buffer[] = [];
  let file: Awaited<ReturnType<typeof openFile>> | undefined;
  let writing: Promise<void> | undefined;
  const write = async (chunks: readonly Buffer[]): Promise<void> => {
    file ??= await openFile();
    for (const chunk of chunks) await file.handle.writeFile(chunk);
  };
  return {
    add: (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      if (bytes <= IN_MEMORY_BYTES) {
        // A copy: what arrives is a view of a larger packet.
        memory.push(Buffer.from(chunk));
        return undefined;
      }
      const chunks = [...memory, chunk];
      memory = [];
      writing = (writing ?? Promise.resolve()).then(() => write(chunks));
      return writing;
    },
    finish: async () => {
      await writing;
      await file?.handle.close();
      return keptOutput(bytes, hash.digest("hex"), Buffer.concat(memory), file?.path);
    },
  };
}

function keptOutput(bytes: number, digest: string, memory: Buffer, path: string | undefined): KeptOutput {
  async function* read(): AsyncGenerator<Buffer> {
    if (path === undefined) yield memory;
    else yield* createReadStream(path) as AsyncIterable<Buffer>;
  }
  return {
    bytes,
    digest,
    read,
    text: async (maxBytes) => {
      if (bytes > maxBytes) return undefined;
      const chunks = [];
      for await (const chunk of read()) chunks.push(chunk);
      const all = Buffer.concat(chunks);
      return isUtf8(all) ? all.toString("utf8") : undefined;
    },
    discard: async () => {
      if (path !== undefined) await rm(path, { force: true });
    },
  };
}
