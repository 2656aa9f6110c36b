import type { SerializedError } from "../../core/errors.ts";
import type { NoHashes } from "./remote-hash.ts";

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
export interface TransferCounts {
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
