import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { type FileAttributes, STATUS } from "../../transport/sftp/codec.ts";
import { sftpStatus } from "../../transport/sftp/requests.ts";
import type { FileSession } from "../../transport/transport.ts";
import {
  each,
  endsAll,
  FILES_AT_ONCE,
  HostFullError,
  isDirectory,
  isLink,
  type TransferContext,
} from "./context.ts";
import type { LocalFile, LocalTree } from "./local-tree.ts";
import { type LeftOver, putFile, putLink, type RemoteState } from "./put-file.ts";
import { below, remotePath } from "./remote-tree.ts";

/** From so many names on, list a directory; ask for fewer one by one, because the directory may hold many others. */
const LISTED_FROM = 8;
const LOOK_AT_ONCE = 16;

/** Put a tree on a host. The tally counts failures of single files; rejects with an error that ends the host's part. */
export async function putTree(context: TransferContext, tree: LocalTree, destination: string): Promise<void> {
  const { tally, check } = context;
  const base = await findBase(context, tree, destination);
  tally.total(tree.files.length + tree.links.length, tree.totalBytes);
  for (const path of tree.skipped) tally.done({ path, action: "skipped", bytes: 0 });
  const made = new Set<string>();
  const unmade = new Set<string>();
  await makeAbove(context, tree, base, made);
  // Level by level: a directory is made before its content.
  for (const level of levelsOf(tree.directories)) {
    await each(level, FILES_AT_ONCE, async ({ path, mode }) => {
      const remote = below(base, path);
      const parent = posix.dirname(remote);
      if (unmade.has(parent)) return void unmade.add(remote);
      try {
        if (await ensureDirectory(context, remote, mode, made.has(parent))) made.add(remote);
      } catch (thrown) {
        if (endsAll(thrown)) throw thrown;
        unmade.add(remote);
        tally.failed(remote, thrown);
      }
    });
  }
  const states = await lookAt(context, tree, base, made);
  await refuseWhenFull(context, tree, base, states);
  await each(tree.files, FILES_AT_ONCE, async (file) => {
    const remote = below(base, file.path);
    if (unmade.has(posix.dirname(remote))) return tally.failed(remote, notMade(context, remote));
    await tally.ready();
    try {
      const action = await putFile(context, file, remote, states.get(remote) ?? NOTHING);
      tally.done({ path: remote, action, bytes: file.size });
    } catch (thrown) {
      if (endsAll(thrown)) throw thrown;
      tally.failed(remote, thrown);
    }
  });
  await each(tree.links, FILES_AT_ONCE, async ({ path, target }) => {
    const remote = below(base, path);
    if (unmade.has(posix.dirname(remote))) return tally.failed(remote, notMade(context, remote));
    try {
      await putLink(context, remote, target, states.get(remote)?.existing ?? null);
    } catch (thrown) {
      if (endsAll(thrown)) throw thrown;
      tally.failed(remote, thrown);
    }
  });
  if (context.preserve && !check) await keepDirectories(context, tree, base, unmade);
}

const NOTHING: RemoteState = { existing: null, leftOver: [] };

/** Return the destination's full path; a single file goes into a directory that is there. */
async function findBase(context: TransferContext, tree: LocalTree, destination: string): Promise<string> {
  const base = await remotePath(context, destination);
  if (tree.singleName === undefined) return base;
  const there = await context.files.stat(base);
  return there !== null && isDirectory(there) ? below(base, tree.singleName) : base;
}

/** Make the missing directories above the destination, and the destination unless it is the file or tree itself. */
async function makeAbove(
  context: TransferContext,
  tree: LocalTree,
  base: string,
  made: Set<string>,
): Promise<void> {
  const isThing = tree.files.some(({ path }) => path === "") || tree.links.some(({ path }) => path === "");
  const isTree = tree.directories.some(({ path }) => path === "");
  const missing: string[] = [];
  let path = isThing || isTree ? posix.dirname(base) : base;
  for (; path !== "/" && path !== "."; path = posix.dirname(path)) {
    const there = await context.files.stat(path);
    if (there !== null && !isDirectory(there)) throw inTheWay(context, path);
    if (there !== null) break;
    missing.push(path);
  }
  for (const directory of missing.reverse()) {
    if (!context.check && !(await makeDirectory(context.files, directory))) continue;
    made.add(directory);
    context.tally.done({ path: directory, action: "made", bytes: 0 });
  }
}

/** Make a directory where it is missing; return whether it was. */
async function ensureDirectory(
  { files, tally, check, host }: TransferContext,
  path: string,
  mode: number,
  parentIsNew: boolean,
): Promise<boolean> {
  const there = parentIsNew ? null : await files.stat(path);
  if (there !== null) {
    if (!isDirectory(there)) throw inTheWay({ host }, path);
    return false;
  }
  // The owner must be able to fill the directory, whatever its final mode is.
  if (!check && !(await makeDirectory(files, path, { mode: (mode & 0o777) | 0o700 }))) return false;
  tally.done({ path, action: "made", bytes: 0 });
  return true;
}

/** Make a directory; return false when another transfer made it meanwhile. */
async function makeDirectory(
  files: FileSession,
  path: string,
  attributes?: FileAttributes,
): Promise<boolean> {
  try {
    await files.makeDirectory(path, attributes);
    return true;
  } catch (thrown) {
    if (sftpStatus(thrown) !== STATUS.failure) throw thrown;
    const there = await files.stat(path);
    if (there === null || !isDirectory(there)) throw thrown;
    return false;
  }
}

function inTheWay({ host }: Pick<TransferContext, "host">, path: string): VolleyError {
  return new VolleyError("SFTP_FAILED", `${host}: ${path} is there and is no directory`, {
    hint: "remove it, or put the files elsewhere",
  });
}

function notMade({ host }: TransferContext, path: string): VolleyError {
  return new VolleyError("SFTP_FAILED", `${host}: cannot write ${path}: its directory could not be made`);
}

function levelsOf<Entry extends { readonly path: string }>(
  entries: readonly Entry[],
): readonly (readonly Entry[])[] {
  const levels: Entry[][] = [];
  for (const entry of entries) {
    const depth = entry.path === "" ? 0 : entry.path.split("/").length;
    levels[depth] ??= [];
    levels[depth].push(entry);
  }
  return levels.filter((level) => level !== undefined);
}

/** Look at the host's files in the places of the tree: by listing directories, or by asking for each name. */
async function lookAt(
  context: TransferContext,
  tree: LocalTree,
  base: string,
  made: ReadonlySet<string>,
): Promise<ReadonlyMap<string, RemoteState>> {
  const { files } = context;
  const states = new Map<string, RemoteState>();
  const byDirectory = new Map<string, string[]>();
  for (const { path } of [...tree.files, ...tree.links]) {
    const remote = below(base, path);
    const directory = posix.dirname(remote);
    const names = byDirectory.get(directory) ?? [];
    names.push(remote);
    byDirectory.set(directory, names);
  }
  const isNew = [...byDirectory].filter(([directory]) => made.has(directory));
  for (const [directory] of isNew) byDirectory.delete(directory);
  await each(byDirectory, LOOK_AT_ONCE, async ([directory, paths]) => {
    const attributesOf = paths.length < LISTED_FROM ? undefined : await listed(files, directory);
    const look = async (path: string): Promise<FileAttributes | null> =>
      attributesOf === undefined ? await files.lstat(path) : (attributesOf.get(path) ?? null);
    for (const path of paths) {
      try {
        const [existing, leftOver] = await Promise.all([look(path), findLeftOver(context, path)]);
        states.set(path, { existing, leftOver });
      } catch (thrown) {
        // The write of this file will be refused as well, and counted then.
        if (sftpStatus(thrown) === undefined) throw thrown;
      }
    }
  });
  return states;
}

/** Return the parts that earlier transfers of a file left on the host. */
async function findLeftOver(
  { files, remoteParts, check }: TransferContext,
  path: string,
): Promise<readonly LeftOver[]> {
  if (check) return [];
  const found: LeftOver[] = [];
  for (const part of await remoteParts.claim(path)) {
    const attributes = await files.lstat(part);
    if (attributes === null) await remoteParts.forget(part);
    else found.push({ part, attributes });
  }
  return found;
}

async function listed(
  files: FileSession,
  directory: string,
): Promise<ReadonlyMap<string, FileAttributes> | undefined> {
  try {
    const entries = await files.list(directory);
    return new Map(entries.map(({ name, attributes }) => [below(directory, name), attributes]));
  } catch (thrown) {
    if (sftpStatus(thrown) === undefined) throw thrown;
    return undefined;
  }
}

/** Fail before anything is sent when the tree does not fit. */
async function refuseWhenFull(
  { files, host, check }: TransferContext,
  tree: LocalTree,
  base: string,
  states: ReadonlyMap<string, RemoteState>,
): Promise<void> {
  if (check || tree.totalBytes === 0) return;
  let more = 0;
  for (const { path, size } of tree.files) more += growth(states.get(below(base, path)), size);
  if (more <= 0) return;
  const isThing = tree.files.some(({ path }) => path === "");
  const space = await files.freeSpace(isThing ? posix.dirname(base) : base).catch(() => undefined);
  if (space === undefined || space.isReadOnly || space.freeBytes >= more) return;
  throw new HostFullError(
    STATUS.failure,
    `${host}: no space left on the host: ${base} takes ${mebibytes(more)} more, and ${mebibytes(space.freeBytes)} are free`,
    "free some room on the host, or put it elsewhere",
  );
}

function mebibytes(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

/** Return how many more bytes a file will take than the file that it replaces and the parts left over. */
function growth(state: RemoteState | undefined, size: LocalFile["size"]): number {
  const old = state?.existing?.size ?? 0;
  return (state?.leftOver ?? []).reduce((more, { attributes }) => more - (attributes.size ?? 0), size - old);
}

async function keepDirectories(
  { files, tally }: TransferContext,
  tree: LocalTree,
  base: string,
  unmade: ReadonlySet<string>,
): Promise<void> {
  // From the inside out: a new entry changes the time of its directory.
  await each([...tree.directories].reverse(), 1, async ({ path, mode, mtime }) => {
    const remote = below(base, path);
    if (unmade.has(remote)) return;
    try {
      const there = await files.lstat(remote);
      if (there === null || isLink(there)) return;
      if (there.mtime === mtime && ((there.mode ?? -1) & 0o7777) === mode) return;
      await files.setstat(remote, { mode, mtime });
    } catch (thrown) {
      if (endsAll(thrown)) throw thrown;
      tally.failed(remote, thrown);
    }
  });
}
