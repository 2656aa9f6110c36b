import { constants, type Stats } from "node:fs";
import { access, lstat, readdir, readlink, realpath, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { HERE, openParts } from "./parts.ts";

/** An entry to put, with its local path and its path below the destination, which is empty for the destination itself. */
export interface LocalEntry {
  readonly path: string;
  readonly local: string;
  /** Permission bits. */
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

/** A file to put. */
export interface LocalFile extends LocalEntry {
  readonly size: number;
  /** The time as exactly as this machine has it. */
  readonly mtimeMs: number;
}

/** A link to make. */
export interface LocalLink {
  readonly path: string;
  readonly target: string;
}

/** The entries to put, the same for every host; directories before their content. */
export interface LocalTree {
  readonly directories: readonly LocalEntry[];
  readonly files: readonly LocalFile[];
  readonly links: readonly LocalLink[];
  /** Paths of entries that are neither file, directory nor link. */
  readonly skipped: readonly string[];
  readonly totalBytes: number;
  /**
   * The name of a single file, which goes into the destination where that is a directory. Undefined for other trees.
   */
  readonly singleName: string | undefined;
}

/** Options of {@link scanLocalTree}. */
export interface ScanOptions {
  readonly sources: readonly string[];
  readonly destination: string;
  /** Put the targets of links in place of links. */
  readonly follow: boolean;
}

const MAX_DEPTH = 200;

/**
 * Scan the sources. The content of a directory goes to the destination. With a slash at the end of the destination, or with
 * several sources, it goes into a directory of its name below, unless the source ends in a slash. Sources that are links are
 * followed. Fails with `USAGE` for an unreadable file.
 */
export async function scanLocalTree({ sources, destination, follow }: ScanOptions): Promise<LocalTree> {
  const into = destination.endsWith("/") || sources.length > 1;
  const found = {
    directories: [] as LocalEntry[],
    files: [] as LocalFile[],
    links: [] as LocalLink[],
    skipped: [] as string[],
  };
  const taken = new Map<string, string>();
  const leftOver = await openParts(HERE).known();

  const take = (path: string, local: string, isTree: boolean): void => {
    const other = taken.get(path);
    if (other !== undefined && !isTree)
      throw new VolleyError("USAGE", `${other} and ${local} would both become ${path || destination}`);
    taken.set(path, local);
  };
  const visit = async (path: string, local: string, isNamed: boolean, above: readonly string[]) => {
    const stats = await look(local, isNamed || follow);
    const entry = { path, local, mode: stats.mode & 0o7777, mtime: Math.floor(stats.mtimeMs / 1_000) };
    if (stats.isSymbolicLink()) {
      take(path, local, false);
      found.links.push({ path, target: await readlink(local) });
    } else if (stats.isFile()) {
      take(path, local, false);
      await readable(local, constants.R_OK);
      found.files.push({ ...entry, size: stats.size, mtimeMs: stats.mtimeMs });
    } else if (stats.isDirectory()) {
      if (!taken.has(path)) found.directories.push(entry);
      take(path, local, true);
      await descend(path, local, above);
    } else found.skipped.push(local);
  };
  const descend = async (path: string, local: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(local);
    if (above.includes(real) || above.length > MAX_DEPTH)
      throw new VolleyError("USAGE", `${local} leads back to ${real}: a link goes round in a circle`);
    await readable(local, constants.R_OK | constants.X_OK);
    for (const name of (await readdir(local)).sort()) {
      // Skip parts that a transfer into this tree has left.
      if (leftOver.has(resolve(local, name))) continue;
      if (name.includes("\ufffd")) throw new VolleyError("USAGE", `a name in ${local} is not UTF-8: ${name}`);
      await visit(path === "" ? name : `${path}/${name}`, join(local, name), false, [...above, real]);
    }
  };

  for (const source of sources) {
    const contents = source.endsWith("/");
    await visit(into && !contents ? basename(source) : "", source, true, []);
  }
  const [only] = found.files;
  const isSingle = found.files.length === 1 && found.directories.length === 0 && only!.path === "";
  return {
    ...found,
    totalBytes: found.files.reduce((sum, { size }) => sum + size, 0),
    singleName: isSingle ? basename(only!.local) : undefined,
  };
}

async function look(local: string, follow: boolean): Promise<Stats> {
  try {
    return await (follow ? stat(local) : lstat(local));
  } catch (thrown) {
    const isMissing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    const why = isMissing ? "there is no such file" : (thrown as Error).message;
    throw new VolleyError("USAGE", `cannot put ${local}: ${why}`, { cause: thrown });
  }
}

async function readable(local: string, mode: number): Promise<void> {
  try {
    await access(local, mode);
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read ${local}: permission denied`, { cause: thrown });
  }
}
