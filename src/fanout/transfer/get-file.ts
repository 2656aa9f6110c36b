import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle as LocalHandle, lstat, open, rename, unlink, utimes } from "node:fs/promises";
import { VolleyError } from "../../core/errors.ts";
import { OPEN } from "../../transport/sftp/protocol.ts";
import { looksUnchanged, type TransferContext } from "./context.ts";
import { changedMeanwhile } from "./failures.ts";
import { hashFile } from "./local-hash.ts";
import type { LocalPlace } from "./local-place.ts";
import { partPath } from "./names.ts";
import { readInOrder } from "./read-in-order.ts";
import type { RemoteEntry } from "./remote-tree.ts";
import type { FileAction } from "./result.ts";

/** A damaged file is got once more. */
const TRIES = 2;
/** Less than this is got sooner than it is verified. */
const MIN_RESUMED_BYTES = 256 << 10;

/** Gets one file in the way that `putFile` puts one. Gives what was done. */
export async function getFile(
  context: TransferContext,
  entry: RemoteEntry,
  place: LocalPlace,
): Promise<FileAction> {
  const { tally, check } = context;
  const destination = await place.resolve(entry.path);
  const size = entry.attributes.size ?? 0;
  const there = await place.look(entry.path);
  if (there?.isDirectory() === true)
    throw new VolleyError("FILE_FAILED", `cannot write ${destination}: it is a directory`);
  if (there?.isFile() === true) {
    const local = { size: there.size, mtime: Math.floor(there.mtimeMs / 1_000) };
    if (await isUnchanged(context, entry, destination, local)) {
      if (!check) await keepAttributes(context, entry, destination);
      tally.kept(size);
      return "unchanged";
    }
  }
  if (check) {
    tally.kept(0);
    return "sent";
  }
  let from = await resumable(context, entry, destination);
  const action: FileAction = from > 0 ? "resumed" : "sent";
  tally.kept(from);
  for (let attempt = 1; ; attempt++) {
    if (await receive(context, entry, destination, from)) return action;
    await unlink(partPath(destination));
    if (attempt === TRIES) {
      throw new VolleyError(
        "SFTP_FAILED",
        `${context.host}: ${entry.remote} arrived damaged ${TRIES} times`,
        {
          hint: "its SHA-256 on the host is another one: is the file being written to?",
        },
      );
    }
    tally.kept(-from);
    from = 0;
  }
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

/** How many bytes of an earlier transfer's part are the beginning of this file. */
async function resumable(
  { remoteHashes }: TransferContext,
  { remote, attributes }: RemoteEntry,
  destination: string,
): Promise<number> {
  const part = partPath(destination);
  const stats = await lstat(part).catch(() => null);
  if (stats === null) return 0;
  const isOurs = stats.isFile() && stats.size >= MIN_RESUMED_BYTES && stats.size <= (attributes.size ?? 0);
  if (isOurs) {
    const theirs = await remoteHashes.prefix(remote, stats.size);
    if (theirs !== undefined && theirs === (await hashFile(part, stats.size))) return stats.size;
  }
  await unlink(part);
  return 0;
}

/** Gets the rest of a file and renames it; gives false when what arrived is not what is there. */
async function receive(
  context: TransferContext,
  entry: RemoteEntry,
  destination: string,
  from: number,
): Promise<boolean> {
  const { files, preserve, tally } = context;
  const { remote, attributes } = entry;
  const part = partPath(destination);
  const handle = await files.open(remote, OPEN.read);
  const flags =
    constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | (from > 0 ? 0 : constants.O_EXCL);
  const mode = ((attributes.mode ?? 0o644) & 0o777) | 0o600;
  try {
    const local = await open(part, flags, mode);
    try {
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
      if (!(await verify(context, remote, size, hash.digest("hex")))) return false;
      if (preserve) await setAttributes(local, attributes);
      await local.sync();
    } finally {
      await local.close();
    }
    await rename(part, destination);
    return true;
  } finally {
    files.close(handle).catch(() => {});
  }
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
export async function keepDirectory(path: string, { attributes }: RemoteEntry): Promise<void> {
  const { mode, atime, mtime } = attributes;
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (mode !== undefined) await directory.chmod(mode & 0o777);
  } finally {
    await directory.close();
  }
  if (mtime !== undefined) await utimes(path, atime ?? mtime, mtime);
}
