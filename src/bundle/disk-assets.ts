import * as fs from "node:fs";
import { join, posix } from "node:path";
import { ASSET_KINDS, ASSET_MODE_BITS, type Asset, type AssetStore } from "../core/asset.ts";
import { VolleyError } from "../core/errors.ts";

/** Whether a bundle has what is at a path below a role's directory, too. */
function isAsset(path: string): boolean {
  const [kind] = posix.normalize(path).split("/");
  return ASSET_KINDS.some((each) => each === kind);
}

/** Assets read from role directories on disk, those that a bundle would hold; `directoryOf` gives a role's directory, or undefined when it has none. */
export function createDiskAssets(directoryOf: (role: string) => string | undefined): AssetStore {
  return {
    file: (role, path) => {
      const directory = directoryOf(role);
      if (directory === undefined || !isAsset(path)) return null;
      const full = join(directory, path);
      const stats = fs.statSync(full, { throwIfNoEntry: false });
      return stats?.isFile() ? diskAsset(full, path, stats) : null;
    },
    tree: (role, path) => {
      const directory = directoryOf(role);
      if (directory === undefined || !isAsset(path)) return null;
      const full = join(directory, path);
      return fs.statSync(full, { throwIfNoEntry: false })?.isDirectory() ? listTree(full) : null;
    },
  };
}

function diskAsset(full: string, path: string, stats: fs.Stats): Asset {
  return {
    path,
    size: stats.size,
    mode: stats.mode & ASSET_MODE_BITS,
    read: () => fs.readFileSync(full),
    stream: () => fs.createReadStream(full),
  };
}

/** Every file below a directory, sorted, as paths relative to it with `/`; links are followed. */
export function listTree(directory: string, below = ""): string[] {
  const found: string[] = [];
  for (const bytes of fs.readdirSync(join(directory, below), { encoding: "buffer" }).sort(Buffer.compare)) {
    const name = bytes.toString();
    if (!bytes.equals(Buffer.from(name)))
      throw new VolleyError(
        "BUILD_FAILED",
        `${posix.join(directory, below, name)} has a name that is not UTF-8: rename it, or take it out of the role`,
      );
    const path = posix.join(below, name);
    const stats = fs.statSync(join(directory, path), { throwIfNoEntry: false });
    if (stats?.isDirectory()) found.push(...listTree(directory, path));
    else if (stats?.isFile()) found.push(path);
  }
  return found;
}
