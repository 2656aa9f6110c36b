import { posix } from "node:path";
import { Readable } from "node:stream";
import type { AssetStore } from "../core/asset.ts";
import { assetEntry } from "../core/bundle.ts";
import type { BundleReader } from "./bundle-reader.ts";

/** Assets read from the bundle; a role is known by its directory. */
export function createBundledAssets(bundle: BundleReader): AssetStore {
  return {
    file: (role, path) => {
      const name = assetEntry(role, posix.normalize(path));
      const size = bundle.size(name);
      if (size === undefined) return null;
      const read = (): Buffer => bundle.read(name)!;
      return { path, size, mode: bundle.mode(name), read, stream: () => Readable.from([read()]) };
    },
    tree: (role, path) => {
      const prefix = `${assetEntry(role, posix.normalize(path)).replace(/\/+$/, "")}/`;
      const below = bundle.names
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length));
      return below.length === 0 ? null : below.sort();
    },
  };
}
