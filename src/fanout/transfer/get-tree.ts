import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import {
  type FileHandle as LocalHandle,
  lstat,
  mkdir,
  open,
  readlink,
  rename,
  symlink,
  unlink,
  utimes,
} from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { makeDirectories } from "../../system/directories.ts";
import { OPEN } from "../../transport/sftp/codec.ts";
import type { FileHandle } from "../../transport/transport.ts";
import { readInOrder } from "./content.ts";
import {
  changedMeanwhile,
  each,
  endsAll,
  FILES_AT_ONCE,
  isLocalDiskFull,
  localFailure,
  looksUnchanged,
  type TransferContext,
} from "./context.ts";
import { hashFile, updateHash } from "./hashes.ts";
import { partPath } from "./parts.ts";
import { type RemoteEntry, type WalkOptions, walkRemoteTree } from "./remote-tree.ts";
import type { FileAction } from "./result.ts";

/** Get a tree from a host into a directory of its own. The tally counts failures of single files; rejects with an error that ends the host's part. */
export async function getTree(context: TransferContext, options: WalkOptions, root: string): Promise<void> {
  const { tally, check, preserve } = context;
  const tree = await walkRemoteTree(context, options);
  const bytes = tree.files.reduce((sum, { attributes }) => sum + (attributes.size ?? 0), 0);
  tally.total(tree.files.length + tree.links.length, bytes);
  const place = createLocalPlace(root);
  const attempt = async (path: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (thrown) {
      const failure = localFailure(path, thrown);
      if (endsAll(thrown)) throw failure;
      tally.failed(path, failure);
    }
  };
  await attempt(root, async () => void (await place.makeDirectory("", check)));
  // In their order: parents come first.
  for (const { path, remote } of tree.directories) {
    await attempt(remote, async () => {
      if (await place.makeDirectory(path, check)) tally.done({ path: remote, action: "made", bytes: 0 });
    });
  }
  await each(tree.files, FILES_AT_ONCE, (entry) =>
    attempt(entry.remote, async () => {
      await tally.ready();
      const action = await getFile(context, entry, place);
      tally.done({ path: entry.remote, action, bytes: entry.attributes.size ?? 0 });
    }),
  );
  // Links come last, so that no file is written through a link.
  for (const { path, remote, target } of tree.links) {
    await attempt(remote, async () => {
      const wasNeeded = await place.makeLink(path, target, check);
      tally.done({ path: remote, action: wasNeeded ? "linked" : "unchanged", bytes: 0 });
    });
  }
  if (!preserve || check) return;
  for (const entry of [...tree.directories].reverse()) {
    if (entry.path === "") continue;
    await attempt(entry.remote, async () => keepDirectory(await place.resolve(entry.path), entry));
  }
}

/** Getting less than this is quicker than verifying it. */
const MIN_RESUMED_BYTES = 256 << 10;

/** Get one file, as `putFile` puts one. Return the action. */
async function getFile(context: TransferContext, entry: RemoteEntry, place: LocalPlace): Promise<FileAction> {
  const { tally, check } = context;
  const destination = await place.resolve(entry.path);
  const size = entry.attributes.size ?? 0;
  const there = await place.look(entry.path);
  if (there?.isDirectory() === true)
    throw new VolleyError("FILE_FAILED", `cannot write ${destination}: it is a directory`);
  if (there?.isFile() === true) {
    const local = { size: there.size, mtime: Math.floor(there.mtimeMs / 1_000) };
    if (await isUnchanged(context, entry, destination, local)) {
      if (!check) {
        await keepAttributes(context, entry, destination);
        for (const part of await context.localParts.claim(resolve(destination))) await discard(context, part);
      }
      tally.kept(size);
      return "unchanged";
    }
  }
  if (check) {
    tally.kept(0);
    return "sent";
  }
  const kept = await findBeginning(context, entry, resolve(destination));
  tally.kept(kept?.bytes ?? 0);
  const action: FileAction = kept === undefined ? "sent" : "resumed";
  if (await receive(context, entry, destination, kept)) return action;
  // The bytes that counted as kept are got after all.
  tally.kept(-(kept?.bytes ?? 0));
  if (await receive(context, entry, destination, undefined)) return action;
  throw new VolleyError("SFTP_FAILED", `${context.host}: ${entry.remote} arrived damaged 2 times`, {
    hint: "its SHA-256 on the host is another one: is the file being written to?",
  });
}

async function discard({ localParts }: TransferContext, part: string): Promise<void> {
  await unlink(part).catch(() => {});
  await localParts.forget(part);
}

async function isUnchanged(
  { checksum, remoteHashes }: TransferContext,
  { remote, attributes }: RemoteEntry,
  destination: string,
  local: { readonly size: number; readonly mtime: number },
): Promise<boolean> {
  if (attributes.size !== local.size) return false;
  if (!checksum && looksUnchanged(attributes, local)) return true;
  if (local.size === 0) return true;
  const theirs = await remoteHashes.whole(remote, local.size);
  return theirs !== undefined && theirs === (await hashFile(destination, local.size));
}

async function keepAttributes(
  { preserve }: TransferContext,
  { attributes }: RemoteEntry,
  destination: string,
): Promise<void> {
  if (!preserve) return;
  // O_NOFOLLOW: a link that took the file's place meanwhile is not followed.
  const file = await open(destination, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await setAttributes(file, attributes);
  } finally {
    await file.close();
  }
}

/** Set mode and times; the set-id bits of a host's file are not taken over. */
async function setAttributes(
  file: LocalHandle,
  { mode, atime, mtime }: RemoteEntry["attributes"],
): Promise<void> {
  if (mode !== undefined) await file.chmod(mode & 0o777);
  if (mtime !== undefined) await file.utimes(atime ?? mtime, mtime);
}

/** A part of a file, got by an interrupted transfer. */
interface Beginning {
  readonly part: string;
  readonly bytes: number;
}

/** Return the largest part that is a beginning of this file; remove the others. */
async function findBeginning(
  context: TransferContext,
  entry: RemoteEntry,
  destination: string,
): Promise<Beginning | undefined> {
  let beginning: Beginning | undefined;
  for (const part of await context.localParts.claim(destination)) {
    const bytes = await beginningOf(context, entry, part);
    if (bytes > (beginning?.bytes ?? 0)) {
      if (beginning !== undefined) await discard(context, beginning.part);
      beginning = { part, bytes };
    } else await discard(context, part);
  }
  return beginning;
}

/** Return the size of a part that is a beginning of the file; 0 for any other file. */
async function beginningOf(
  { remoteHashes }: TransferContext,
  { remote, attributes }: RemoteEntry,
  part: string,
): Promise<number> {
  const stats = await lstat(part).catch(() => null);
  if (stats?.isFile() !== true || stats.uid !== process.getuid?.()) return 0;
  if (stats.size < MIN_RESUMED_BYTES || stats.size > (attributes.size ?? 0)) return 0;
  const theirs = await remoteHashes.prefix(remote, stats.size);
  return theirs !== undefined && theirs === (await hashFile(part, stats.size)) ? stats.size : 0;
}

/** Get the rest of a file and rename it. Return false when it arrived damaged; the part is then removed. */
async function receive(
  context: TransferContext,
  entry: RemoteEntry,
  destination: string,
  kept: Beginning | undefined,
): Promise<boolean> {
  const { files, preserve, localParts } = context;
  const { remote, attributes } = entry;
  const from = kept?.bytes ?? 0;
  const isLasting = (attributes.size ?? 0) >= MIN_RESUMED_BYTES;
  const path = resolve(destination);
  const handle = await files.open(remote, OPEN.read);
  const part = kept?.part ?? (await localParts.begin(path, isLasting));
  try {
    const local = await openPart(part, attributes.mode, from);
    let isWhole: boolean;
    try {
      isWhole = await fill(context, entry, { local, handle, from });
      if (isWhole && preserve) await setAttributes(local, attributes);
      if (isWhole) await local.sync();
    } finally {
      await local.close();
    }
    if (isWhole) await rename(part, destination);
    else await unlink(part);
    await localParts.forget(part);
    return isWhole;
  } catch (thrown) {
    // Keep the part when the connection is lost, to continue it later; remove it after other errors.
    if (endsAll(thrown) && !isLocalDiskFull(thrown)) await localParts.keep(path, part);
    else await discard(context, part);
    throw thrown;
  } finally {
    files.closeHandle(handle).catch(() => {});
  }
}

/** Open a part without following a link; a new part must not exist yet. */
function openPart(part: string, mode: number | undefined, from: number): Promise<LocalHandle> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_EXCL } = constants;
  const flags = O_RDWR | O_NOFOLLOW | (from > 0 ? 0 : O_CREAT | O_EXCL);
  return open(part, flags, ((mode ?? 0o644) & 0o777) | 0o600);
}

interface Filling {
  readonly local: LocalHandle;
  readonly handle: FileHandle;
  readonly from: number;
}

/** Get the rest of a file; return whether it is the host's file. */
async function fill(
  context: TransferContext,
  { remote, attributes }: RemoteEntry,
  { local, handle, from }: Filling,
): Promise<boolean> {
  const { files, tally } = context;
  const size = (await files.fstat(handle)).size ?? attributes.size ?? 0;
  const hash = createHash("sha256");
  if (from > 0) await updateHash(hash, local, from);
  let position = from;
  const end = await readInOrder(context, handle, { from, to: size }, async (piece) => {
    hash.update(piece);
    await writeWhole(local, piece, position);
    position += piece.length;
    tally.sent(piece.length);
  });
  if (end < size) throw changedMeanwhile(`${context.host}: ${remote}`);
  return verify(context, remote, size, hash.digest("hex"));
}

async function writeWhole(local: LocalHandle, piece: Buffer, position: number): Promise<void> {
  for (let done = 0; done < piece.length; ) {
    const { bytesWritten } = await local.write(piece, done, piece.length - done, position + done);
    done += bytesWritten;
  }
}

async function verify(
  { remoteHashes, tally }: TransferContext,
  remote: string,
  size: number,
  hash: string,
): Promise<boolean> {
  let theirs = await remoteHashes.whole(remote, size);
  // A log may have grown meanwhile: compare the part that was got.
  if (theirs !== undefined && theirs !== hash) theirs = await remoteHashes.prefix(remote, size);
  tally.verified(theirs === undefined ? "size" : "sha256");
  return theirs === undefined || theirs === hash;
}

/** Set a directory's mode and times to those on the host. */
async function keepDirectory(path: string, { attributes }: RemoteEntry): Promise<void> {
  const { mode, atime, mtime } = attributes;
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (mode !== undefined) await directory.chmod(mode & 0o777);
  } finally {
    await directory.close();
  }
  if (mtime !== undefined) await utimes(path, atime ?? mtime, mtime);
}

/** A host's own directory on this machine; no file outside it is ever written. */
interface LocalPlace {
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
function createLocalPlace(root: string): LocalPlace {
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
        if (path === "") makeDirectories(full);
        else await mkdir(full);
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
