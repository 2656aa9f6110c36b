import { open } from "node:fs/promises";
import { VolleyError } from "../../core/errors.ts";
import type { FileAttributes, FileHandle } from "../../transport/file-session.ts";
import { sftpStatus } from "../../transport/sftp/error.ts";
import { OPEN, STATUS } from "../../transport/sftp/protocol.ts";
import { isDirectory, isFile, looksUnchanged, type TransferContext } from "./context.ts";
import { explainWriteFailure, HostFullError } from "./failures.ts";
import { attributesFor, ownerFor } from "./kept-attributes.ts";
import type { LocalFile } from "./local-tree.ts";
import { partPath } from "./names.ts";
import { readBackHash } from "./read-back.ts";
import type { FileAction } from "./result.ts";
import { refuseChanged, writeAll } from "./write-file.ts";

/** What is on the host before a file is put. */
export interface RemoteState {
  readonly existing: FileAttributes | null;
  /** What an earlier transfer left. */
  readonly part: FileAttributes | null;
}

/** A damaged file is sent once more. */
const TRIES = 2;

/**
 * Puts one file: to a temporary name, from where an earlier transfer was cut, then verified, flushed to the disk and
 * renamed. What is the same is left alone. Gives what was done.
 */
export async function putFile(
  context: TransferContext,
  source: LocalFile,
  destination: string,
  { existing, part }: RemoteState,
): Promise<FileAction> {
  const { host, tally, check } = context;
  if (existing !== null && isDirectory(existing)) {
    throw new VolleyError("SFTP_FAILED", `${host}: cannot write ${destination}: it is a directory`, {
      hint: "end the destination in a slash to put files into it",
    });
  }
  if (existing !== null && isFile(existing) && (await isUnchanged(context, source, destination, existing))) {
    if (!check) await keepAttributes(context, source, destination, existing);
    tally.kept(source.size);
    return "unchanged";
  }
  if (check) {
    tally.kept(0);
    return "sent";
  }
  let from = await resumable(context, source, destination, part);
  const action: FileAction = from > 0 ? "resumed" : "sent";
  const isLeftOver = part !== null && from === 0;
  if (isLeftOver) await context.files.remove(partPath(destination));
  tally.kept(from);
  for (let attempt = 1; ; attempt++) {
    const isWhole = await send(context, source, destination, { from, existing });
    if (isWhole) return action;
    await context.files.remove(partPath(destination));
    if (attempt === TRIES) {
      throw new VolleyError("SFTP_FAILED", `${host}: ${destination} arrived damaged ${TRIES} times`, {
        hint: `its SHA-256 is another one than that of ${source.local}: is the file being written to, or the disk broken?`,
      });
    }
    // What was counted as there is sent after all.
    tally.kept(-from);
    from = 0;
  }
}

async function isUnchanged(
  { checksum, localHashes, remoteHashes }: TransferContext,
  source: LocalFile,
  destination: string,
  existing: FileAttributes,
): Promise<boolean> {
  if (existing.size !== source.size) return false;
  if (!checksum && looksUnchanged(source, existing)) return true;
  if (source.size === 0) return true;
  const remote = await remoteHashes.whole(destination, source.size);
  return remote !== undefined && remote === (await localHashes.of(source.local, source.size));
}

async function keepAttributes(
  { files, preserve }: TransferContext,
  { mode, mtime }: LocalFile,
  destination: string,
  existing: FileAttributes,
): Promise<void> {
  if (!preserve) return;
  const isSame = existing.mtime === mtime && ((existing.mode ?? -1) & 0o7777) === mode;
  if (!isSame) await files.setstat(destination, { mode, mtime });
}

/** How many bytes of an earlier transfer's part are the beginning of this file. */
async function resumable(
  context: TransferContext,
  source: LocalFile,
  destination: string,
  part: FileAttributes | null,
): Promise<number> {
  const { files, remoteHashes, localHashes } = context;
  // A link could have been planted there: only a file is gone on with.
  if (part === null || !isFile(part)) return 0;
  const size = part.size ?? 0;
  // Less than one request is sent sooner than it is verified.
  if (size < files.maxWriteBytes || size > source.size) return 0;
  const path = partPath(destination);
  const remote = (await remoteHashes.prefix(path, size)) ?? (await readBackHash(context, path, size));
  // What another user left there stays that user's, who could change it once it has been verified.
  if (remoteHashes.userId !== undefined && part.uid !== undefined && part.uid !== remoteHashes.userId)
    return 0;
  return remote === (await localHashes.of(source.local, size)) ? size : 0;
}

interface SendOptions {
  readonly from: number;
  readonly existing: FileAttributes | null;
}

/** Sends the rest of a file and renames it; gives false when what arrived is not what was sent. */
async function send(
  context: TransferContext,
  source: LocalFile,
  destination: string,
  { from, existing }: SendOptions,
): Promise<boolean> {
  const { files } = context;
  const part = partPath(destination);
  const local = await open(source.local, "r");
  let handle: FileHandle | undefined;
  try {
    handle = await openPart(context, part, from, source.mode);
    await refuseChanged(local, source);
    await writeAll(context, handle, source, local, from);
    await refuseChanged(local, source);
    const settings = attributesFor(context, source, existing);
    const finished = Promise.all([
      ...settings.map((attributes) => files.fsetstat(handle!, attributes)),
      ...ownerFor(context, handle, existing),
      files.sync(handle),
    ]);
    const [isWhole] = await Promise.all([verify(context, source, part, handle), finished]);
    const closed = files.close(handle);
    handle = undefined;
    await closed;
    if (!isWhole) return false;
    await files.rename(part, destination);
    return true;
  } catch (thrown) {
    const explained = await explainWriteFailure(context, destination, thrown);
    if (handle !== undefined) await files.close(handle).catch(() => {});
    // On a full disk what is left over would take the last room from others.
    if (explained instanceof HostFullError) await files.remove(part).catch(() => {});
    throw explained;
  } finally {
    await local.close();
  }
}

async function openPart(
  { files }: TransferContext,
  part: string,
  from: number,
  mode: number,
): Promise<FileHandle> {
  if (from > 0) return files.open(part, OPEN.write);
  // Exclusive: a name planted by somebody else is refused, not followed. The host's umask applies to the mode.
  const flags = OPEN.write | OPEN.create | OPEN.exclusive;
  try {
    return await files.open(part, flags, { mode: mode & 0o777 });
  } catch (thrown) {
    if (sftpStatus(thrown) !== STATUS.failure || (await files.lstat(part)) === null) throw thrown;
    await files.remove(part);
    return await files.open(part, flags, { mode: mode & 0o777 });
  }
}

/** Whether the part is the file: by SHA-256 where the host can tell it, else by its size. */
async function verify(
  { files, localHashes, remoteHashes, tally }: TransferContext,
  source: LocalFile,
  part: string,
  handle: FileHandle,
): Promise<boolean> {
  const [remote, local] = await Promise.all([
    remoteHashes.whole(part, source.size),
    localHashes.of(source.local, source.size),
  ]);
  if (remote !== undefined) {
    tally.verified("sha256");
    return remote === local;
  }
  tally.verified("size");
  return (await files.fstat(handle)).size === source.size;
}
