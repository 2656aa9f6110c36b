import { posix } from "node:path";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { fileType, STATUS } from "../../transport/sftp/codec.ts";
import { SftpError } from "../../transport/sftp/requests.ts";
import type { FileSession } from "../../transport/transport.ts";
import type { LocalHashes, RemoteHasher } from "./hashes.ts";
import type { Parts } from "./parts.ts";
import type { Tally } from "./result.ts";

// The surroundings of every transfer: settings, bytes in flight, files at a time, and errors that end a host's part.

/** Settings of a transfer. */
export interface TransferSettings {
  /** Keep modes and times. */
  readonly preserve: boolean;
  /** Compare existing files by content even when size and time are equal. */
  readonly checksum: boolean;
  /** Report the changes without making them. */
  readonly check: boolean;
}

/** A host's part of a running transfer. */
export interface TransferContext extends TransferSettings {
  readonly host: string;
  readonly files: FileSession;
  readonly remoteHashes: RemoteHasher;
  readonly localHashes: LocalHashes;
  /** Temporary files on the host, and on this machine. */
  readonly remoteParts: Parts;
  readonly localParts: Parts;
  readonly window: ByteWindow;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/** Return whether a mode is that of a directory. */
export function isDirectory({ mode }: { readonly mode?: number }): boolean {
  return fileType(mode) === "directory";
}

/** Return whether a mode is that of a regular file. */
export function isFile({ mode }: { readonly mode?: number }): boolean {
  return fileType(mode) === "file";
}

/** Return whether a mode is that of a symbolic link. */
export function isLink({ mode }: { readonly mode?: number }): boolean {
  return fileType(mode) === "link";
}

/** Age below which a file may change without a change of its time. */
const RACY_SECONDS = 2;

/** Return whether two files are the same by size and time alone. */
export function looksUnchanged(
  one: { readonly size?: number; readonly mtime?: number },
  other: { readonly size?: number; readonly mtime?: number },
): boolean {
  if (one.size === undefined || one.size !== other.size) return false;
  if (one.mtime === undefined || one.mtime !== other.mtime) return false;
  return one.mtime < Date.now() / 1_000 - RACY_SECONDS;
}

/** Limits the bytes in flight to or from a host. */
interface ByteWindow {
  readonly bytes: number;
  /** Resolve when there is room; a piece larger than the window gets all of it. */
  take(bytes: number): Promise<void>;
  give(bytes: number): void;
  /** Return whether `take` would resolve at once. */
  hasRoom(bytes: number): boolean;
}

/** OpenSSH's window of a channel: more is never in flight (RFC 4254, section 5.2). */
const MAX_WINDOW_BYTES = 2 << 20;
const MIN_WINDOW_BYTES = 512 << 10;
/** Limit for all hosts together. */
const ALL_WINDOWS_BYTES = 64 << 20;

/** Return the window of each host when so many hosts are at work. */
export function windowBytes(hosts: number): number {
  return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, Math.floor(ALL_WINDOWS_BYTES / hosts)));
}

/** Make an empty window. Waiting callers are served in their order. */
export function createWindow(bytes: number): ByteWindow {
  let free = bytes;
  const waiting: { readonly wanted: number; readonly resolve: () => void }[] = [];
  return {
    bytes,
    take: (asked) => {
      const wanted = Math.min(asked, bytes);
      if (waiting.length === 0 && free >= wanted) {
        free -= wanted;
        return Promise.resolve();
      }
      return new Promise((resolve) => waiting.push({ wanted, resolve }));
    },
    hasRoom: (asked) => waiting.length === 0 && free >= Math.min(asked, bytes),
    give: (asked) => {
      free += Math.min(asked, bytes);
      while (waiting.length > 0 && free >= waiting[0]!.wanted) {
        const { wanted, resolve } = waiting.shift()!;
        free -= wanted;
        resolve();
      }
    },
  };
}

/** Files in work at a time on each host: enough to hide the latency with small files. */
export const FILES_AT_ONCE = 32;

/** Act on each item in order, so many at a time. Rejects with the first error after all calls have settled. */
export async function each<Item>(
  items: Iterable<Item>,
  atOnce: number,
  act: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const thrown: unknown[] = [];
  const work = async (): Promise<void> => {
    while (thrown.length === 0) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        await act(next.value);
      } catch (error) {
        thrown.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (thrown.length > 0) throw thrown[0];
}

/** A disk with less free room counts as full: file systems reserve some. */
const FULL_BYTES = 1 << 20;

/** The host has no room left, so further files would fail as well. */
export class HostFullError extends SftpError {}

/** Return whether an error ends a host's whole part, and not only one file. */
export function endsAll(thrown: unknown): boolean {
  if (thrown instanceof HostFullError) return true;
  if (!isVolleyError(thrown)) return isLocalDiskFull(thrown);
  return ["CONNECTION_LOST", "CANCELLED", "SFTP_UNAVAILABLE"].includes(thrown.code);
}

/** Return whether this machine has no room left. */
export function isLocalDiskFull(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Explain a failed write: OpenSSH reports a full disk only as "Failure", so look at the file system. */
export async function explainWriteFailure(
  { files, host }: TransferContext,
  path: string,
  part: string,
  thrown: unknown,
): Promise<unknown> {
  if (!(thrown instanceof SftpError)) return thrown;
  // Name the file, not its temporary part.
  const said = thrown.message.replaceAll(part, path);
  const named = new SftpError(thrown.status, said, thrown.hint);
  if (thrown.status !== STATUS.failure) return named;
  const space = await files.freeSpace(posix.dirname(path)).catch(() => undefined);
  const full = (why: string, hint: string): HostFullError =>
    new HostFullError(STATUS.failure, `${host}: cannot write ${path}: ${why}`, hint);
  if (space?.isReadOnly === true) {
    return new SftpError(
      STATUS.failure,
      `${host}: cannot write ${path}: its file system is read-only`,
      "mount it read-write, or put the files elsewhere",
    );
  }
  if (/no space left/i.test(said) || (space !== undefined && space.freeBytes < FULL_BYTES))
    return full("no space left on the host", "free some room on the host, or put it elsewhere");
  if (space !== undefined && space.freeFiles === 0)
    return full("no more files fit on its file system", "its inodes are used up: remove files");
  if (/quota/i.test(said)) return full("the user's quota is used up", "free some room, or raise the quota");
  return named;
}

/** Return the error of a file that changed while it was read. */
export function changedMeanwhile(path: string): VolleyError {
  return new VolleyError("FILE_FAILED", `${path} changed while it was read`, { hint: "try again" });
}

/** Return an error of this machine's file system with the path in words. */
export function localFailure(path: string, thrown: unknown): unknown {
  if (isVolleyError(thrown)) return thrown;
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === undefined) return thrown;
  const meanings: Readonly<Record<string, string>> = {
    ENOSPC: "no space left on this machine",
    EDQUOT: "the quota on this machine is used up",
    EACCES: "permission denied on this machine",
    ENOENT: "no such file on this machine",
    ENOTDIR: "what it would be in is not a directory on this machine",
    ELOOP: "there is a link in its place on this machine",
  };
  return new VolleyError("FILE_FAILED", `${path}: ${meanings[code] ?? message}`, { cause: thrown });
}
