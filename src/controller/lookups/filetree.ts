import type { Stats } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { parsePasswd } from "../../core/unix/users.ts";

/** A file, directory or link of a tree, as the lookup of community.general describes it. */
interface TreeEntry {
  /** The directory that was asked for. */
  readonly root: string;
  /** The path below `root`. */
  readonly path: string;
  readonly state: "file" | "directory" | "link";
  /** The path of a file, or the target of a link. */
  readonly src?: string;
  readonly uid: number;
  readonly gid: number;
  readonly owner: string;
  readonly group: string;
  /** Permission bits, as `0644`. */
  readonly mode: string;
  /** In bytes. */
  readonly size: number;
  /** In seconds since 1970. */
  readonly mtime: number;
  readonly ctime: number;
}

/** Read the names of accounts or groups by their ids; both files have them in the same columns. */
async function namesIn(path: string): Promise<(id: number) => string> {
  const text = await readFile(path, "utf8").catch(() => "");
  const names = new Map(
    path.endsWith("group")
      ? text.split("\n").map((line) => [Number(line.split(":")[2]), line.split(":")[0] ?? ""] as const)
      : parsePasswd(text).map(({ uid, name }) => [uid, name] as const),
  );
  return (id) => names.get(id) ?? String(id);
}

/**
 * List all below some directories: in each directory its directories and the links to such, then its other files,
 * by name, then what is in them. An entry whose path an earlier directory has is left out.
 */
export async function listTrees(roots: readonly string[]): Promise<readonly TreeEntry[]> {
  const [owner, group] = await Promise.all([namesIn("/etc/passwd"), namesIn("/etc/group")]);
  const found = new Map<string, TreeEntry>();
  const add = async (root: string, path: string, stats: Stats): Promise<void> => {
    if (found.has(path)) return;
    const full = join(root, path);
    const isLink = stats.isSymbolicLink();
    const state = isLink ? "link" : stats.isDirectory() ? "directory" : stats.isFile() ? "file" : undefined;
    // Sockets, devices and pipes are no content of a tree.
    if (state === undefined) return;
    found.set(path, {
      root,
      path,
      state,
      ...(isLink ? { src: await readlink(full) } : state === "file" ? { src: full } : {}),
      uid: stats.uid,
      gid: stats.gid,
      owner: owner(stats.uid),
      group: group(stats.gid),
      mode: `0${(stats.mode & 0o7777).toString(8).padStart(3, "0")}`,
      size: stats.size,
      mtime: stats.mtimeMs / 1000,
      ctime: stats.ctimeMs / 1000,
    });
  };
  const walk = async (root: string, below: string): Promise<void> => {
    const entries = await Promise.all(
      (await readdir(join(root, below)).catch(() => [])).sort().map(async (name) => {
        const path = join(below, name);
        const stats = await lstat(join(root, path));
        const followed = await stat(join(root, path)).catch(() => null);
        return { path, stats, isDirectory: followed?.isDirectory() === true };
      }),
    );
    for (const wanted of [true, false])
      for (const { path, stats, isDirectory } of entries)
        if (isDirectory === wanted) await add(root, path, stats);
    for (const { path, stats } of entries) if (stats.isDirectory()) await walk(root, path);
  };
  for (const root of roots) await walk(root, "");
  return [...found.values()];
}
