import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

/** SHA-256 of this machine's files; each is read once, however many hosts get it. */
export interface LocalHashes {
  /** Of the first `bytes` of a file, in hex. */
  of(path: string, bytes: number): Promise<string>;
}

const CHUNK_BYTES = 1 << 20;

/** Starts with none. Those that are wanted at the same time are made together, and kept until the end. */
export function createLocalHashes(): LocalHashes {
  const known = new Map<string, Promise<string>>();
  return {
    of: (path, bytes) => {
      const key = `${bytes} ${path}`;
      const hash = known.get(key) ?? hashFile(path, bytes);
      known.set(key, hash);
      return hash;
    },
  };
}

/** SHA-256 of the first `bytes` of a file, or of all there is, in hex. */
export async function hashFile(path: string, bytes: number): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, bytes)));
    for (let position = 0; position < bytes; ) {
      const wanted = Math.min(buffer.length, bytes - position);
      const { bytesRead } = await file.read(buffer, 0, wanted, position);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}
