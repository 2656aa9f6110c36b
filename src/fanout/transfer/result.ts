import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { NoHashes } from "./hashes.ts";

/** What became of a host's part of a transfer. */
export type TransferOutcome = "ok" | "failed" | "unreachable" | "lost" | "cancelled";

/** What became of one file, directory or link. In check mode it is what would. */
export type FileAction =
  | "sent"
  /** Sent from where an earlier transfer was cut. */
  | "resumed"
  /** The same was there already. */
  | "unchanged"
  | "linked"
  | "made"
  /** Neither file, directory nor link, or a link that leads out of the tree. */
  | "skipped"
  | "failed";

/** One entry of a tree that is done. */
export interface FileEvent {
  readonly path: string;
  readonly action: FileAction;
  /** Bytes of its content. */
  readonly bytes: number;
  /** Why it failed or was skipped. */
  readonly error?: SerializedError;
}

/** What a host's part came to. */
interface TransferCounts {
  readonly files: Readonly<Record<FileAction, number>>;
  /** Bytes of content that went over the wire and were taken. */
  readonly sentBytes: number;
  /** Bytes not sent because they were there already, whole files and beginnings of them. */
  readonly keptBytes: number;
}

/** How a transfer went with one host. */
export interface TransferResult extends TransferCounts {
  readonly host: string;
  readonly outcome: TransferOutcome;
  /** What ended it all, or the first of the files that failed. */
  readonly error: SerializedError | undefined;
  /** How it was made sure that what was sent arrived: undefined when nothing was. */
  readonly verifiedBy: "sha256" | "size" | undefined;
  /** Why it was made sure by size only, where it was. */
  readonly noHashes: NoHashes | undefined;
  /** From the beginning of the connection. */
  readonly elapsedMs: number;
}

/** Follows a transfer as it happens. */
export interface TransferListener {
  start?(host: string): void;
  /** How much is to be gone through; told again when more is found. */
  total?(host: string, total: { readonly files: number; readonly bytes: number }): void;
  /** So many bytes more are there: they were sent, or were there already. */
  progress?(host: string, bytes: number, how: "sent" | "kept"): void;
  file?(host: string, event: FileEvent): void;
  end?(result: TransferResult): void;
  /** A promise while there is more to show than is read; files that are begun wait for it. */
  ready?(): Promise<void> | undefined;
}

/** Counts what becomes of a host's files, and tells of it. */
export interface Tally {
  total(files: number, bytes: number): void;
  /** Bytes that were taken by the other side. */
  sent(bytes: number): void;
  /** Bytes that need not be sent. */
  kept(bytes: number): void;
  done(event: FileEvent): void;
  failed(path: string, thrown: unknown): void;
  verified(by: "sha256" | "size"): void;
  counts(): TransferCounts;
  /** Resolves when what was told has been shown. */
  ready(): Promise<void>;
  readonly verifiedBy: "sha256" | "size" | undefined;
  /** The first of the files that failed. */
  readonly firstError: SerializedError | undefined;
}

/** Starts at nothing. */
export function createTally(host: string, listener: TransferListener): Tally {
  const files: Record<FileAction, number> = {
    sent: 0,
    resumed: 0,
    unchanged: 0,
    linked: 0,
    made: 0,
    skipped: 0,
    failed: 0,
  };
  let sentBytes = 0;
  let keptBytes = 0;
  let totalFiles = 0;
  let totalBytes = 0;
  let verifiedBy: "sha256" | "size" | undefined;
  let firstError: SerializedError | undefined;
  const done = (event: FileEvent): void => {
    files[event.action]++;
    listener.file?.(host, event);
  };
  return {
    total: (moreFiles, moreBytes) => {
      totalFiles += moreFiles;
      totalBytes += moreBytes;
      listener.total?.(host, { files: totalFiles, bytes: totalBytes });
    },
    sent: (bytes) => {
      sentBytes += bytes;
      listener.progress?.(host, bytes, "sent");
    },
    kept: (bytes) => {
      keptBytes += bytes;
      if (bytes !== 0) listener.progress?.(host, bytes, "kept");
    },
    done,
    failed: (path, thrown) => {
      const error = withoutStack(thrown);
      firstError ??= error;
      done({ path, action: "failed", bytes: 0, error });
    },
    // One file that could only be measured makes the whole less than certain.
    verified: (by) => {
      verifiedBy = verifiedBy === "size" ? "size" : by;
    },
    ready: async () => await listener.ready?.(),
    counts: () => ({ files: { ...files }, sentBytes, keptBytes }),
    get verifiedBy() {
      return verifiedBy;
    },
    get firstError() {
      return firstError;
    },
  };
}

/** A file's error is told in thousands: where in the program it was made is of no use there. */
function withoutStack(thrown: unknown): SerializedError {
  const { code, message, hint, location, stack } = serializeError(thrown);
  return {
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(location === undefined ? {} : { location }),
    ...(isVolleyError(thrown) || stack === undefined ? {} : { stack }),
  };
}
