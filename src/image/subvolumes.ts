import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { resolveBelow } from "../system/root-paths.ts";
import { readFstab } from "./fstab.ts";

// The subvolumes of a btrfs: installers put the root into one, and directories such as /var into others.

/** The names that installers give to the root's subvolume: Debian's, those of Ubuntu and many others, and Fedora's. */
const ROOT_NAMES = ["@rootfs", "@", "root"];

/** Return the directory that is wanted: the mounted subvolume, or the root's below it; undefined where neither is. */
export function findSubvolume(mounted: string, isWanted: (directory: string) => boolean): string | undefined {
  return [mounted, ...ROOT_NAMES.map((name) => join(mounted, name)).filter((path) => existsSync(path))].find(
    isWanted,
  );
}

/** A subvolume, and the directory of the root at which the machine mounts it. */
export interface MountedSubvolume {
  readonly subvolume: string;
  readonly directory: string;
}

/** Return the subvolumes that a root mounts at its boot over directories of its own, in order, as its fstab says. */
export function subvolumesOf(root: string, mounted: string): readonly MountedSubvolume[] {
  const below = (parent: string, path: string): string | undefined => {
    try {
      const found = resolveBelow(parent, path);
      return statSync(found).isDirectory() ? found : undefined;
    } catch {
      return undefined;
    }
  };
  const text = ((): string => {
    try {
      const file = resolveBelow(root, "/etc/fstab");
      return statSync(file).isFile() ? readFileSync(file, "utf8") : "";
    } catch {
      return "";
    }
  })();
  return readFstab(text)
    .filter(({ kind, directory }) => kind === "btrfs" && directory !== "/")
    .sort((one, other) => one.directory.length - other.directory.length)
    .flatMap(({ directory: at, options }) => {
      const name = options.get("subvol");
      const subvolume = name === undefined ? undefined : below(mounted, name);
      const directory = below(root, at);
      return subvolume === undefined || directory === undefined ? [] : [{ subvolume, directory }];
    });
}
