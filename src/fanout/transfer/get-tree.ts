import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle as LocalHandle, lstat, open, rename, unlink, utimes } from "node:fs/promises";
import { resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { FileHandle } from "../../transport/file-session.ts";
import { OPEN } from "../../transport/sftp/codec.ts";
import { readInOrder } from "./content.ts";
import { each, FILES_AT_ONCE, looksUnchanged, type TransferContext } from "./context.ts";
import { changedMeanwhile, endsAll, isLocalDiskFull, localFailure } from "./failures.ts";
import { hashFile } from "./hashes.ts";
import { createLocalPlace, type LocalPlace } from "./local-place.ts";
import { type RemoteEntry, type WalkOptions, walkRemoteTree } from "./remote-tree.ts";

import type { FileAction } from "./result.ts";

/** Gets a tree from a host into a directory of its own. What fails for one file is in the tally; rejects with what ends it all. */
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
  // In their order: those above come first.
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
  // Links come last: nothing is ever written through one.
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

/** Less than this is got sooner than it is verified. */
const MIN_RESUMED_BYTES = 256 << 10;

/** Gets one file in the way that `putFile` puts one. Gives what was done. */
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
  // What was counted as there is got after all.
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
  // Of a link that has come into its place meanwhile nothing is changed.
  const file = await open(destination, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await setAttributes(file, attributes);
  } finally {
    await file.close();
  }
}

/** Set-user-id and the like are not taken from a host. */
async function setAttributes(
  file: LocalHandle,
  { mode, atime, mtime }: RemoteEntry["attributes"],
): Promise<void> {
  if (mode !== undefined) await file.chmod(mode & 0o777);
  if (mtime !== undefined) await file.utimes(atime ?? mtime, mtime);
}

/** A part of a file, got by a transfer that was cut. */
interface Beginning {
  readonly part: string;
  readonly bytes: number;
}

/** The largest of the parts left over that is the beginning of this file; the others are removed. */
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

/** How many bytes of a file a part holds, which is all of it; 0 where there is anything else. */
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

/** Gets the rest of a file and renames it; gives false when what arrived is not what is there, which is then removed. */
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
    // What has arrived is gone on with when the connection went; of all else nothing is left over.
    if (endsAll(thrown) && !isLocalDiskFull(thrown)) await localParts.keep(path, part);
    else await discard(context, part);
    throw thrown;
  } finally {
    files.closeHandle(handle).catch(() => {});
  }
}

/** Nothing is written through a link, and a new part is in the place of nothing. */
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

/** Gets the rest of a file; gives whether all of it is what is on the host. */
async function fill(
  context: TransferContext,
  { remote, attributes }: RemoteEntry,
  { local, handle, from }: Filling,
): Promise<boolean> {
  const { files, tally } = context;
  const size = (await files.fstat(handle)).size ?? attributes.size ?? 0;
  const hash = createHash("sha256");
  if (from > 0) await hashBeginning(local, from, hash);
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

async function hashBeginning(
  local: LocalHandle,
  bytes: number,
  hash: ReturnType<typeof createHash>,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let position = 0; position < bytes; ) {
    const wanted = Math.min(buffer.length, bytes - position);
    const { bytesRead } = await local.read(buffer, 0, wanted, position);
    if (bytesRead === 0) return;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

async function verify(
  { remoteHashes, tally }: TransferContext,
  remote: string,
  size: number,
  hash: string,
): Promise<boolean> {
  let theirs = await remoteHashes.whole(remote, size);
  // A log that has grown meanwhile is whole up to where it was got.
  if (theirs !== undefined && theirs !== hash) theirs = await remoteHashes.prefix(remote, size);
  tally.verified(theirs === undefined ? "size" : "sha256");
  return theirs === undefined || theirs === hash;
}

/** Sets a directory's mode and times as they are on the host. */
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
