import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { fileReason, writeReason } from "../core/unix/user-file.ts";
import { isRecord } from "../core/values/value.ts";
import { makeDirectories } from "../system/directories.ts";
import { cacheDirectory, stateDirectory } from "../system/own-files.ts";

// The files of `volley pull` on this machine, which no other user can exchange: bundles in the cache, and the record of
// each source.

/** The record of a source. */
export interface PullRecord {
  /** The source, without a password. */
  readonly source: string;
  /** SHA-256 of the bundle that is kept, and the server's words for it. */
  readonly kept?: {
    readonly bundle: string;
    readonly etag?: string;
    readonly lastModified?: string;
    readonly commit?: string;
  };
  /** When the newest bundle that was carried out had been signed, ISO 8601. */
  readonly signedAt?: string;
  /** The last run, if it went well. */
  readonly done?: {
    /** Hash of the bundle, the host's name and the vars given. */
    readonly work: string;
    /** ISO 8601. */
    readonly at: string;
  };
}

/** The files of one source. */
export interface Places {
  /** A directory of mode 0700. */
  readonly directory: string;
  /** The bundle that was verified last. */
  readonly bundle: string;
  /** Remove what a pull that was killed has left. */
  clear(): void;
  readRecord(): PullRecord | undefined;
  writeRecord(record: PullRecord): void;
  /** Return the kept bundle; undefined where there is none. */
  readBundle(): Buffer | undefined;
  /** Keep a bundle: all of it, or the one before. */
  writeBundle(bytes: Buffer): void;
}

const WRITABLE_FOR_OTHERS = 0o22;
const STICKY = 0o1000;

/** Open the places of a source. Fails with `PULL_FAILED` where others could exchange the files, or none can be written. */
export function openPlaces(key: string): Places {
  const name = createHash("sha256").update(key).digest("hex").slice(0, 16);
  const directory = privateDirectory(join(cacheDirectory(), "pull"), name);
  const records = privateDirectory(stateDirectory(), "pull");
  const bundle = join(directory, "bundle.run");
  const record = join(records, `${name}.json`);
  return {
    directory,
    bundle,
    clear: () => {
      const isLeft = (file: string): boolean => file.endsWith(".part") || file.startsWith("git-");
      for (const left of readdirSync(directory).filter(isLeft))
        rmSync(join(directory, left), { recursive: true, force: true });
    },
    readRecord: () => parseRecord(readOwn(record)),
    writeRecord: (value) => writeWhole(record, Buffer.from(`${JSON.stringify(value)}\n`)),
    readBundle: () => readOwn(bundle),
    writeBundle: (bytes) => writeWhole(bundle, bytes),
  };
}

function parseRecord(bytes: Buffer | undefined): PullRecord | undefined {
  try {
    const value: unknown = bytes === undefined ? undefined : JSON.parse(bytes.toString("utf8"));
    return isRecord(value) ? (value as unknown as PullRecord) : undefined;
  } catch {
    // A disk that was full: the next run knows of no earlier one.
    return undefined;
  }
}

function privateDirectory(parent: string, name: string): string {
  const path = join(parent, name);
  try {
    makeDirectories(path, 0o700);
  } catch (cause) {
    throw new VolleyError("PULL_FAILED", `cannot make ${path}: ${writeReason(cause)}`, { cause });
  }
  refuseOthers(path);
  return path;
}

/**
 * Fail with `PULL_FAILED` where another user than root and this one could exchange a file or directory: by writing to it,
 * or to a directory on its real path.
 */
export function refuseOthers(path: string): void {
  const mine = [0, process.geteuid?.()];
  let real: string;
  try {
    real = realpathSync(path);
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
  for (let at = real; ; at = dirname(at)) {
    const { uid, mode } = lstatSync(at);
    const isOpen = (mode & WRITABLE_FOR_OTHERS) !== 0 && (at === real || (mode & STICKY) === 0);
    if (!mine.includes(uid) || isOpen) {
      const why = mine.includes(uid) ? `they can write to ${at}` : `${at} is another user's`;
      throw new VolleyError("PULL_FAILED", `others than root and you could exchange ${path}: ${why}`, {
        hint: mine.includes(uid)
          ? `chmod go-w ${at}`
          : "move it to a directory of your own; with sudo, give -H",
      });
    }
    if (at === dirname(at)) return;
  }
}

/** Read a file of these directories, which only this account writes; undefined where there is none. */
function readOwn(path: string): Buffer | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return readFileSync(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new VolleyError("PULL_FAILED", `cannot read ${path}: ${fileReason(cause)}`, { cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function writeWhole(path: string, bytes: Buffer): void {
  const part = `${path}.${randomBytes(4).toString("hex")}.part`;
  try {
    const file = openSync(part, "wx", 0o600);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(part, path);
  } catch (cause) {
    rmSync(part, { force: true });
    throw new VolleyError("PULL_FAILED", `cannot write ${path}: ${writeReason(cause)}`, { cause });
  }
}

/** Read a file that a source names, bounded. Fails with `PULL_FAILED`. */
export function readBounded(path: string, maxBytes: number): Buffer {
  const fail = (problem: string, cause?: unknown): VolleyError =>
    new VolleyError("PULL_FAILED", `cannot read ${path}: ${problem}`, { cause });
  let file: number;
  try {
    // A FIFO must not keep the pull waiting.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (thrown) {
    throw fail(fileReason(thrown), thrown);
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw fail("it is no regular file");
    if (stats.size > maxBytes) throw fail(`it has more than ${maxBytes} bytes`);
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}
