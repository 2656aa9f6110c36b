/** A file of a role, wherever it lies: on disk or in the bundle. */
export interface Asset {
  /** Path below the role's directory, with `/`: `files/motd`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Whether its owner may execute it; the other permission bits do not travel. */
  readonly executable: boolean;
  /** The whole content; at once, because both a disk and the bundle can give it so. */
  read(): Buffer;
  /** The content piece by piece, for those too large to hold. */
  stream(): AsyncIterable<Uint8Array>;
}

/** Assets of this many bytes or fewer are held whole; larger ones are streamed. */
export const INLINE_ASSET_BYTES = 16_384;

/** Where a role's assets are found; one implementation reads a directory, the other the bundle. */
export interface AssetStore {
  /** The asset at a path below the role's directory, or null. */
  file(role: string, path: string): Asset | null;
  /** Every file below a directory of the role, sorted, as paths relative to that directory; null when it is no directory. */
  tree(role: string, path: string): readonly string[] | null;
}
