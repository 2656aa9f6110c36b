/** A file of a role, wherever it lies: on disk or in the bundle. */
export interface Asset {
  /** Path below the role's directory, with `/`: `files/motd`. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits. Those of a bundle's assets are of {@link ASSET_MODE_BITS} only: the others do not travel. */
  readonly mode: number;
  /** When the file was changed last, in milliseconds since 1970, and its owner's name or id; absent for those of a bundle. */
  readonly origin?: { readonly modifiedMs: number; readonly owner: string };
  /** Return the whole content. Synchronous, because a disk and a bundle both can. */
  read(): Buffer;
  /** Yield the content piece by piece, for assets too large to hold. */
  stream(): AsyncIterable<Uint8Array>;
}

/** The permission bits of an asset that travel. A copy is never wider than its source, and never writable for others. */
export const ASSET_MODE_BITS = 0o755;

/** Assets of this many bytes or fewer are held whole; larger ones are streamed. */
export const INLINE_ASSET_BYTES = 16_384;

/** A source of assets: a directory or a bundle. */
export interface AssetStore {
  /** The asset at a path below the role's directory, or null. */
  file(role: string, path: string): Asset | null;
  /** Every file below a directory of the role, sorted, as paths relative to that directory; null when `path` is not a directory. */
  tree(role: string, path: string): readonly string[] | null;
}

/** The entries below a directory, as paths relative to it; directories come after the one they are in. */
export interface TreeEntries {
  readonly files: readonly string[];
  readonly directories: readonly string[];
  /** Links that are not followed, and what they say. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** The directories of a role that hold its assets. */
export const ASSET_KINDS = ["files", "templates"] as const;

/** The name of a directory in {@link ASSET_KINDS}. */
export type AssetKind = (typeof ASSET_KINDS)[number];

/** The role name that stands for the playbook's own assets, in `files` and `templates` beside the playbook. */
export const PLAYBOOK_ROLE = ".";

/** Look in the role for `KIND/SRC` and `SRC`, then beside the playbook, as Ansible does; null when nothing is found. */
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

/** Return the asset that a role's task or template means by a name, or null. */
export function searchAsset(assets: AssetStore, role: string, kind: AssetKind, src: string): Asset | null {
  return search(role, kind, src, assets.file);
}

/** Return the files below the directory that a role's task or template means by a name, or null. */
export function searchTree(
  assets: AssetStore,
  role: string,
  kind: AssetKind,
  src: string,
): readonly string[] | null {
  return search(role, kind, src, assets.tree);
}
