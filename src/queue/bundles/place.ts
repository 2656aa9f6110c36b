import { createHash } from "node:crypto";

/** A place where encrypted bundles lie, under names of letters, digits and dots. Calls fail with `QUEUE_FAILED`. */
export interface Place {
  /** The place as messages name it, without secrets. */
  readonly shown: string;
  /** Added to the error for a bundle that is not there. */
  readonly hintIfMissing: string;
  /** Tell whether a file is there. Where files expire, one that is there stays as long as one written now. */
  has(name: string): Promise<boolean>;
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Return a file's bytes; undefined for one that is not there. */
  get(name: string): Promise<Buffer | undefined>;
}

/** Limit of a bundle's size. */
export const MAX_BUNDLE_BYTES = 200 << 20;

/** Limit of an encrypted bundle's size: age adds a header, and 16 bytes for each 64 KiB. */
export const MAX_FILE_BYTES = MAX_BUNDLE_BYTES + (1 << 20);

/** Return the hexadecimal SHA-256 of bytes: a bundle's id. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
