import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { FileAction, FileEvent, TransferCounts, TransferListener } from "./result.ts";

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
