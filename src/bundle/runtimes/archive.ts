import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { constants, createGunzip, createGzip } from "node:zlib";
import { extract, pack } from "tar-stream";
import { messageOf, VolleyError } from "../../core/errors.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { type NodeBuild, packageName } from "./builds.ts";

// The two archives: the package of the registry that Node comes in, and the one that hosts get.

/** The files of a package that hosts need. */
export interface PackageFiles {
  readonly node: Buffer;
  readonly license: Buffer;
}

/** A file of the archive that hosts get. */
export interface ArchiveFile {
  readonly name: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** An archive that was written. */
export interface WrittenArchive {
  /** SHA-256 of the archive's bytes, in hexadecimal. */
  readonly id: string;
  readonly bytes: number;
  readonly unpackedBytes: number;
}

const CHUNK_BYTES = 256 * 1024;

/**
 * Read Node and its licence from a package. Fails with `RUNTIME_FAILED` for a file that cannot be read, and for one
 * whose SHA-512 is not the pinned one, before anything of it is unpacked.
 */
export async function readPackage(
  file: string,
  build: NodeBuild,
  signal?: AbortSignal,
): Promise<PackageFiles> {
  const name = packageName(build);
  let bytes: Buffer;
  try {
    bytes = await readFile(file, { signal });
  } catch (thrown) {
    if (signal?.aborted === true) throw new VolleyError("CANCELLED", "cancelled");
    throw new VolleyError("RUNTIME_FAILED", `cannot read ${file}: ${fileReason(thrown)}`, {
      cause: thrown,
      hint: `npm pack ${name} writes that file`,
    });
  }
  const found = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  if (found !== build.integrity)
    throw new VolleyError(
      "RUNTIME_FAILED",
      `${file} is refused: its SHA-512 is not that of ${name}, so it is damaged or was changed`,
      { hint: "download it once more, or ask who runs the registry" },
    );
  const files = await unpack(bytes, ["package/bin/node", "package/LICENSE"], file);
  return { node: files[0]!, license: files[1]! };
}

/** Unpack some files of a `.tar.gz`, and nothing else of it. */
async function unpack(bytes: Buffer, names: readonly string[], file: string): Promise<readonly Buffer[]> {
  const found = new Map<string, Buffer>();
  const reader = extract();
  const gunzip = createGunzip();
  gunzip.once("error", (thrown) => reader.destroy(thrown));
  gunzip.pipe(reader);
  gunzip.end(bytes);
  try {
    for await (const entry of reader) {
      const { name, type } = entry.header;
      const chunks: Buffer[] = [];
      const isWanted = type === "file" && names.includes(name);
      for await (const chunk of entry) if (isWanted) chunks.push(chunk as Buffer);
      if (isWanted) found.set(name, Buffer.concat(chunks));
      if (found.size === names.length) break;
    }
  } catch (thrown) {
    throw new VolleyError("RUNTIME_FAILED", `${file} is no archive as npm packs them: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  } finally {
    gunzip.destroy();
  }
  const missing = names.filter((name) => !found.has(name));
  if (missing.length > 0)
    throw new VolleyError("RUNTIME_FAILED", `${file} has no ${missing.join(" and no ")}`);
  return names.map((name) => found.get(name)!);
}

/**
 * Write files as a `.tar.gz`, sorted by name, without times and owners: one version of Node writes the same bytes for
 * the same files. gzip, because every host can unpack it. `onProgress` gets the share that is packed, from 0 to 1.
 */
export async function writeArchive(
  path: string,
  files: readonly ArchiveFile[],
  onProgress: (share: number) => void,
  signal?: AbortSignal,
): Promise<WrittenArchive> {
  const archive = pack();
  for (const { name, mode, content } of [...files].sort((one, other) => (one.name < other.name ? -1 : 1)))
    archive.entry({ name, mode, type: "file", mtime: new Date(0), uid: 0, gid: 0 }, content);
  archive.finalize();
  const unpackedBytes = files.reduce((sum, { content }) => sum + content.length, 0);
  const hash = createHash("sha256");
  let bytes = 0;
  const count = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  await pipeline(
    slices(archive, (done) => onProgress(Math.min(1, done / unpackedBytes))),
    createGzip({ level: constants.Z_BEST_COMPRESSION, chunkSize: CHUNK_BYTES }),
    count,
    createWriteStream(path, { mode: 0o600, flags: "wx", flush: true }),
    signal === undefined ? {} : { signal },
  );
  return { id: hash.digest("hex"), bytes, unpackedBytes };
}

/** Pass on a stream in small pieces: a file of 100 MB is one piece, and compressing it takes seconds. */
async function* slices(
  chunks: AsyncIterable<unknown>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  let passed = 0;
  for await (const one of chunks) {
    const chunk = one as Uint8Array;
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES) {
      const slice = chunk.subarray(at, at + CHUNK_BYTES);
      yield slice;
      passed += slice.length;
      onBytes(passed);
    }
  }
}
