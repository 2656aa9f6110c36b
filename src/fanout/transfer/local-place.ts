import type { Stats } from "node:fs";
import { lstat, mkdir, readlink, rename, symlink, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { partPath } from "./parts.ts";

/** A host's own directory on this machine; no file outside it is ever written. */
export interface LocalPlace {
  /** Return the full path of an entry; fails where a parent is a link. */
  resolve(path: string): Promise<string>;
  /** Make a directory where it is missing; return whether it was. */
  makeDirectory(path: string, check: boolean): Promise<boolean>;
  /** Return the state of an entry, without following a link; null when nothing is there. */
  look(path: string): Promise<Stats | null>;
  /** Make a link, replacing a file or link; return whether it was needed. */
  makeLink(path: string, target: string, check: boolean): Promise<boolean>;
}

/** Make a {@link LocalPlace}. `root` is made with the first directory. */
export function createLocalPlace(root: string): LocalPlace {
  const real = new Map<string, Promise<void>>();

  /** Fail where a directory is a link: a host may name a link in one transfer, and a directory of that name in the next. */
  const assertReal = (directory: string): Promise<void> => {
    const known = real.get(directory) ?? check();
    real.set(directory, known);
    return known;
    async function check(): Promise<void> {
      if (directory !== "") await assertReal(parentOf(directory));
      const stats = await orNull(lstat(join(root, directory)));
      if (stats === null || stats.isDirectory()) return;
      throw new VolleyError("FILE_FAILED", `${join(root, directory)} is there and is no directory`, {
        hint: "remove it, or get the files into another place",
      });
    }
  };
  const resolve = async (path: string): Promise<string> => {
    if (path.split("/").some((name) => name === ".." || name === "."))
      throw new VolleyError("INTERNAL", `${path} is no path below a directory`);
    await assertReal(path === "" ? "" : parentOf(path));
    return join(root, path);
  };
  return {
    resolve,
    look: async (path) => orNull(lstat(await resolve(path))),
    makeDirectory: async (path, check) => {
      await assertReal(path);
      const full = join(root, path);
      const there = await orNull(lstat(full));
      if (there !== null || check) return there === null;
      try {
        await mkdir(full, { recursive: path === "" });
      } catch (thrown) {
        // Another transfer may have made the directory meanwhile.
        const isThere = (await orNull(lstat(full)))?.isDirectory() === true;
        if (!isThere) throw thrown;
        return false;
      }
      return true;
    },
    makeLink: async (path, target, check) => {
      const full = await resolve(path);
      const there = await orNull(lstat(full));
      if (there?.isSymbolicLink() === true && (await readlink(full)) === target) return false;
      if (there?.isDirectory() === true)
        throw new VolleyError("FILE_FAILED", `${full} is a directory: no link is put in its place`);
      if (check) return true;
      const part = partPath(full);
      await symlink(target, part);
      try {
        await rename(part, full);
      } catch (thrown) {
        await unlink(part).catch(() => {});
        throw thrown;
      }
      return true;
    },
  };
}

function parentOf(path: string): string {
  const parent = dirname(path);
  return parent === "." ? "" : parent;
}

async function orNull<Value>(promise: Promise<Value>): Promise<Value | null> {
  try {
    return await promise;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw thrown;
  }
}
