import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { NoHashes } from "./hashes.ts";

/** The outcome of a host's part of a transfer. */
export type TransferOutcome = "ok" | "failed" | "unreachable" | "lost" | "cancelled";

/** The action on one file, directory or link. In check mode it is a prediction. */
export type FileAction =
  | "sent"
  /** Sent from the end of an interrupted transfer. */
  | "resumed"
  /** An identical file was there already. */
  | "unchanged"
  | "linked"
  | "made"
  /** Neither file, directory nor link, or a link that points out of the tree. */
  | "skipped"
  | "failed";

/** A finished entry of a tree. */
export interface FileEvent {
  readonly path: string;
  readonly action: FileAction;
  /** Bytes of the content. */
  readonly bytes: number;
  /** The reason for `failed` or `skipped`. */
  readonly error?: SerializedError;
}

/** The counts of a host's part. */
interface TransferCounts {
  readonly files: Readonly<Record<FileAction, number>>;
  /** Bytes of content that were sent and accepted. */
  readonly sentBytes: number;
  /** Bytes that were there already, in whole files and beginnings of files. */
  readonly keptBytes: number;
}

/** The result of one host. */
export interface TransferResult extends TransferCounts {
  readonly host: string;
  readonly outcome: TransferOutcome;
  /** The error that ended the host's part, or that of the first failed file. */
  readonly error: SerializedError | undefined;
  /** The check of the sent files; undefined when none was sent. */
  readonly verifiedBy: "sha256" | "size" | undefined;
  /** The reason for verifying by size only. */
  readonly noHashes: NoHashes | undefined;
  /** Time since connecting began. */
  readonly elapsedMs: number;
}

/** Follows a running transfer. */
export interface TransferListener {
  start?(host: string): void;
  /** Called with the totals, again when they grow. */
  total?(host: string, total: { readonly files: number; readonly bytes: number }): void;
  /** Called with the number of bytes just sent, or found to be there already. */
  progress?(host: string, bytes: number, how: "sent" | "kept"): void;
  file?(host: string, event: FileEvent): void;
  end?(result: TransferResult): void;
  /** Return a promise while the output is behind; the next files wait for it. */
  ready?(): Promise<void> | undefined;
}

/** Counts the actions on a host's files and reports them to the listener. */
export interface Tally {
  total(files: number, bytes: number): void;
  /** Count bytes that the other side has accepted. */
  sent(bytes: number): void;
  /** Count bytes that need not be sent. */
  kept(bytes: number): void;
  done(event: FileEvent): void;
  failed(path: string, thrown: unknown): void;
  verified(by: "sha256" | "size"): void;
  counts(): TransferCounts;
  /** Resolve when the listener can take more. */
  ready(): Promise<void>;
  readonly verifiedBy: "sha256" | "size" | undefined;
  /** The error of the first failed file. */
  readonly firstError: SerializedError | undefined;
}

/** No file of any kind: the beginning of a sum. */
export const NO_FILES: Readonly<Record<FileAction, number>> = {
  sent: 0,
  resumed: 0,
  unchanged: 0,
  linked: 0,
  made: 0,
  skipped: 0,
  failed: 0,
};

/** Make an empty tally. */
export function createTally(host: string, listener: TransferListener): Tally {
  const files: Record<FileAction, number> = { ...NO_FILES };
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
    // The least certain check counts: a single file verified by size marks the whole result.
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

/** Serialize a file's error without its stack: thousands of files may fail, and the place in the program does not matter. */
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
