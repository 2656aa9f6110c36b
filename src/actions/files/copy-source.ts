import { posix } from "node:path";
import type { ActionContext } from "../../core/action.ts";
import type { Asset } from "../../core/asset.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { assetContent, type FileContent, systemContent } from "../shared/write-file.ts";

/** A file to copy. */
export interface SourceFile {
  /** Path below the tree; for a single file its name. */
  readonly path: string;
  /** Permission bits, as far as known. */
  readonly mode: number;
  /** Owner on the machine itself. */
  readonly owner?: Pick<Stat, "uid" | "gid">;
  content(): Promise<FileContent>;
}

/** The source of a copy: one file, or everything below a directory. */
export interface CopySource {
  readonly tree: boolean;
  readonly files: readonly SourceFile[];
  /** Directories of the tree, each after its parent, the tree itself first. */
  readonly directories: readonly SourceDirectory[];
  /** Links of a tree that are copied as links. */
  readonly links: readonly LinkCopy[];
}

/** A directory of a tree; only one on the machine itself has known permission bits. */
interface SourceDirectory {
  readonly path: string;
  readonly mode?: number;
}

function trimSlashes(path: string): string {
  return path.replace(/(?<=.)\/+$/, "");
}

/** Find a file or a directory of the role's assets, whose links are followed or copied. Fails with `ASSET_MISSING`. */
export function findAssetSource(context: ActionContext, src: string, follow: boolean): CopySource {
  const name = trimSlashes(src);
  if (!src.endsWith("/")) {
    try {
      return {
        tree: false,
        files: [assetFile(context.asset("files", name), posix.basename(name))],
        directories: [],
        links: [],
      };
    } catch (thrown) {
      if (
        !isVolleyError(thrown) ||
        thrown.code !== "ASSET_MISSING" ||
        context.assetTree("files", name) === null
      )
        throw thrown;
    }
  }
  const entries = context.assetEntries?.("files", name, follow) ?? null;
  const paths = entries === null ? context.assetTree("files", name) : entries.files;
  if (paths === null) {
    const { path } = context.asset("files", name);
    throw new VolleyError(
      "ASSET_MISSING",
      `${path} is a file, not a directory; write it without the / at its end`,
    );
  }
  const directories = new Set(["", ...(entries?.directories ?? [])]);
  for (const path of paths) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) directories.add(parts.slice(0, depth).join("/"));
  }
  const files = paths.map((path) => assetFile(context.asset("files", posix.join(name, path)), path));
  return {
    tree: true,
    files,
    directories: [...directories].map((path) => ({ path })),
    links: entries?.links ?? [],
  };
}

function assetFile(asset: Asset, path: string): SourceFile {
  return { path, mode: asset.mode, content: () => assetContent(asset) };
}

/** Find a file or a directory on the machine itself, whose links are followed or copied; null for a missing path. */
export async function findRemoteSource(
  system: ReadSystem,
  src: string,
  follow: boolean,
): Promise<CopySource | null> {
  const name = trimSlashes(src);
  const stat = await system.stat(name);
  if (stat === null) return null;
  if (stat.type !== "directory") {
    const file = remoteFile(system, name, posix.basename(name), stat);
    return { tree: false, files: [file], directories: [], links: [] };
  }
  const files: SourceFile[] = [];
  const directories: SourceDirectory[] = [{ path: "", mode: stat.mode }];
  const links: LinkCopy[] = [];
  /** `above`: the real paths of the directories on the way, which a followed link must not lead back to. */
  const walk = async (below: string, above: readonly string[]): Promise<void> => {
    for (const entry of await system.list(posix.join(name, below))) {
      const path = posix.join(below, entry);
      const full = posix.join(name, path);
      let found = await system.lstat(full);
      let real = posix.join(above.at(-1)!, entry);
      const there = follow && found?.type === "link" ? await system.stat(full) : null;
      if (there !== null) {
        real = await system.realPath(full);
        if (!above.includes(real)) found = there;
      }
      if (found?.type === "link") links.push({ path, target: await system.readLink(full) });
      else if (found?.type === "directory") {
        directories.push({ path, mode: found.mode });
        await walk(path, [...above, real]);
      } else if (found?.type === "file") files.push(remoteFile(system, full, path, found));
    }
  };
  await walk("", [follow ? await system.realPath(name) : name]);
  return { tree: true, files, directories, links };
}

function remoteFile(system: ReadSystem, full: string, path: string, stat: Stat): SourceFile {
  if (stat.type !== "file")
    throw new VolleyError("ACTION_FAILED", `${full} is not a file but a ${stat.type}, and cannot be copied`);
  return { path, mode: stat.mode, owner: stat, content: () => systemContent(system, full, stat) };
}

/** A link of a tree to copy, and its target. */
export interface LinkCopy {
  readonly path: string;
  readonly target: string;
}
