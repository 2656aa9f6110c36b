import type { FileSession } from "../../transport/file-session.ts";
import type { LocalHashes } from "./local-hash.ts";
import type { Parts } from "./parts.ts";
import type { RemoteHasher } from "./remote-hash.ts";
import type { Tally } from "./tally.ts";
import type { ByteWindow } from "./window.ts";

/** What decides how files are sent. */
export interface TransferSettings {
  /** Keep modes and times. */
  readonly preserve: boolean;
  /** Compare what is there by content even when size and time are the same. */
  readonly checksum: boolean;
  /** Say what would be done, and do nothing. */
  readonly check: boolean;
}

/** One host's part of a transfer while it goes on. */
export interface TransferContext extends TransferSettings {
  readonly host: string;
  readonly files: FileSession;
  readonly remoteHashes: RemoteHasher;
  readonly localHashes: LocalHashes;
  /** Temporary files on the host, and here. */
  readonly remoteParts: Parts;
  readonly localParts: Parts;
  readonly window: ByteWindow;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/** Type bits of a mode (stat(2)). */
const TYPE_MASK = 0o170000;

/** Whether a mode is that of a directory. */
export function isDirectory({ mode }: { readonly mode?: number }): boolean {
  return mode !== undefined && (mode & TYPE_MASK) === 0o040000;
}

/** Whether a mode is that of a file. */
export function isFile({ mode }: { readonly mode?: number }): boolean {
  return mode !== undefined && (mode & TYPE_MASK) === 0o100000;
}

/** Whether a mode is that of a symbolic link. */
export function isLink({ mode }: { readonly mode?: number }): boolean {
  return mode !== undefined && (mode & TYPE_MASK) === 0o120000;
}

/** A time so near that a file may have changed after it was looked at, without another time. */
const RACY_SECONDS = 2;

/** Whether size and time alone say that two files are the same. */
export function looksUnchanged(
  one: { readonly size?: number; readonly mtime?: number },
  other: { readonly size?: number; readonly mtime?: number },
): boolean {
  if (one.size === undefined || one.size !== other.size) return false;
  if (one.mtime === undefined || one.mtime !== other.mtime) return false;
  return one.mtime < Date.now() / 1_000 - RACY_SECONDS;
}
