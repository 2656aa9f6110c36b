/** A file of a role, wherever it lies: on disk or in the bundle. */
export interface Asset {
  /** Path below the role's directory, with `/`: `files/motd`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits, those of {@link ASSET_MODE_BITS}; the others do not travel. */
  readonly mode: number;
  /** The whole content; at once, because both a disk and the bundle can give it so. */
  read(): Buffer;
  /** The content piece by piece, for those too large to hold. */
  stream(): AsyncIterable<Uint8Array>;
}

/** What of an asset's permission bits counts: a copy is never wider than its source, nor for others to write to. */
export const ASSET_MODE_BITS = 0o755;

/** Assets of this many bytes or fewer are held whole; larger ones are streamed. */
export const INLINE_ASSET_BYTES = 16_384;

/** Where a role's assets are found; one implementation reads a directory, the other the bundle. */
export interface AssetStore {
  /** The asset at a path below the role's directory, or null. */
  file(role: string, path: string): Asset | null;
  /** Every file below a directory of the role, sorted, as paths relative to that directory; null when it is no directory. */
  tree(role: string, path: string): readonly string[] | null;
}

/** The directories of a role that hold its assets. */
export const ASSET_KINDS = ["files", "templates"] as const;

/** Which of them. */
export type AssetKind = (typeof ASSET_KINDS)[number];

/** What a playbook's own assets are known by: those in `files` and `templates` beside it. */
export const PLAYBOOK_ROLE = ".";

/** Looks, as Ansible does, in the role for `KIND/SRC` and `SRC`, then beside the playbook; null when nothing is found. */
function search<T>(
  role: string,
  kind: AssetKind,
  src: string,
  look: (role: string, path: string) => T | null,
): T | null {
  for (const owner of new Set([role, PLAYBOOK_ROLE])) {
    const found = look(owner, `${kind}/${src}`) ?? look(owner, src);
    if (found !== null) return found;
  }
  return null;
}

/** The asset that a role's task or template means by a name, or null. */
export function searchAsset(assets: AssetStore, role: string, kind: AssetKind, src: string): Asset | null {
  return search(role, kind, src, assets.file);
}

/** The files below the directory that a role's task or template means by a name, or null. */
export function searchTree(
  assets: AssetStore,
  role: string,
  kind: AssetKind,
  src: string,
): readonly string[] | null {
  return search(role, kind, src, assets.tree);
}
