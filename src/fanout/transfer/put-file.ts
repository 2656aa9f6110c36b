import { open } from "node:fs/promises";
import { VolleyError } from "../../core/errors.ts";
import { type FileAttributes, OPEN } from "../../transport/sftp/codec.ts";
import { sftpStatus } from "../../transport/sftp/requests.ts";
import type { FileHandle } from "../../transport/transport.ts";
import { readBackHash, refuseChanged, writeAll } from "./content.ts";
import {
  endsAll,
  explainWriteFailure,
  HostFullError,
  isDirectory,
  isFile,
  isLink,
  looksUnchanged,
  type TransferContext,
} from "./context.ts";
import type { LocalFile } from "./local-tree.ts";
import { partPath } from "./parts.ts";
import type { FileAction } from "./result.ts";

/** The state of the host before a file is put. */
export interface RemoteState {
  readonly existing: FileAttributes | null;
  /** Parts that earlier transfers of this file left, by their records. */
  readonly leftOver: readonly LeftOver[];
}

/** A part of a file, sent by an interrupted transfer. */
export interface LeftOver {
  readonly part: string;
  readonly attributes: FileAttributes;
}

/**
 * Put one file: send it to a temporary name, continue an interrupted transfer, verify it, flush it to the disk and rename it.
 * An identical file is left alone. Return the action.
 */
export async function putFile(
  context: TransferContext,
  source: LocalFile,
  destination: string,
  { existing, leftOver }: RemoteState,
): Promise<FileAction> {
  const { host, tally, check } = context;
  if (existing !== null && isDirectory(existing)) {
    throw new VolleyError("SFTP_FAILED", `${host}: cannot write ${destination}: it is a directory`, {
      hint: "end the destination in a slash to put files into it",
    });
  }
  if (existing !== null && isFile(existing) && (await isUnchanged(context, source, destination, existing))) {
    if (!check) await keepAttributes(context, source, destination, existing);
    for (const { part } of leftOver) await discard(context, part);
    tally.kept(source.size);
    return "unchanged";
  }
  if (check) {
    tally.kept(0);
    return "sent";
  }
  const kept = await findBeginning(context, source, leftOver);
  const action: FileAction = kept === undefined ? "sent" : "resumed";
  tally.kept(kept?.attributes.size ?? 0);
  const [first, again] = [kept, undefined].map((from) => ({ from, existing }));
  if (await send(context, source, destination, first!)) return action;
  // The bytes that counted as kept are sent after all.
  tally.kept(-(kept?.attributes.size ?? 0));
  if (await send(context, source, destination, again!)) return action;
  throw new VolleyError("SFTP_FAILED", `${host}: ${destination} arrived damaged 2 times`, {
    hint: `its SHA-256 is another one than that of ${source.local}: is the file being written to, or the disk broken?`,
  });
}

async function discard({ files, remoteParts }: TransferContext, part: string): Promise<void> {
  await files.remove(part).catch(ifRefused);
  await remoteParts.forget(part);
}

/** Ignore a refusal: a part that is gone, or cannot be removed, has a name of its own and is harmless. */
function ifRefused(thrown: unknown): void {
  if (sftpStatus(thrown) === undefined) throw thrown;
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

/** Return the largest part that is a beginning of this file; remove the others. */
async function findBeginning(
  context: TransferContext,
  source: LocalFile,
  leftOver: readonly LeftOver[],
): Promise<LeftOver | undefined> {
  let beginning: LeftOver | undefined;
  const bySize = [...leftOver].sort(
    (one, other) => (other.attributes.size ?? 0) - (one.attributes.size ?? 0),
  );
  for (const one of bySize) {
    if (beginning === undefined && (await isBeginning(context, source, one))) beginning = one;
    else await discard(context, one.part);
  }
  return beginning;
}

async function isBeginning(
  context: TransferContext,
  source: LocalFile,
  { part, attributes }: LeftOver,
): Promise<boolean> {
  const { files, remoteHashes, localHashes } = context;
  // Another user may have planted a link: continue only with a regular file.
  if (!isFile(attributes)) return false;
  const size = attributes.size ?? 0;
  // Sending less than one request is quicker than verifying it.
  if (size < files.maxWriteBytes || size > source.size) return false;
  const remote = (await remoteHashes.prefix(part, size)) ?? (await readBackHash(context, part, size));
  // Another user who owns the part could change it after it is verified.
  if (
    remoteHashes.userId !== undefined &&
    attributes.uid !== undefined &&
    attributes.uid !== remoteHashes.userId
  )
    return false;
  return remote === (await localHashes.of(source.local, size));
}

interface SendOptions {
  /** The part to continue. */
  readonly from: LeftOver | undefined;
  readonly existing: FileAttributes | null;
}

/** Send the rest of a file and rename it. Return false when it arrived damaged; the part is then removed. */
async function send(
  context: TransferContext,
  source: LocalFile,
  destination: string,
  { from, existing }: SendOptions,
): Promise<boolean> {
  const { files, remoteParts } = context;
  const local = await open(source.local, "r");
  const part = from?.part ?? (await remoteParts.begin(destination, source.size > files.maxWriteBytes));
  let handle: FileHandle | undefined;
  try {
    handle = await openPart(context, part, source.mode, from);
    await refuseChanged(local, source);
    await writeAll(context, handle, source, local, from?.attributes.size ?? 0);
    await refuseChanged(local, source);
    const settings = attributesFor(context, source, existing);
    const finished = Promise.all([
      ...settings.map((attributes) => files.fsetstat(handle!, attributes)),
      ...ownerFor(context, handle, existing),
      files.sync(handle),
    ]);
    const [isWhole] = await Promise.all([verify(context, source, part, handle), finished]);
    const closed = files.closeHandle(handle);
    handle = undefined;
    await closed;
    if (isWhole) await files.rename(part, destination);
    else await files.remove(part);
    await remoteParts.forget(part);
    return isWhole;
  } catch (thrown) {
    const explained = await explainWriteFailure(context, destination, part, thrown);
    if (handle !== undefined) await files.closeHandle(handle).catch(() => {});
    // Keep the part when the connection is lost, to continue it later; remove it after other errors.
    if (endsAll(explained) && !(explained instanceof HostFullError))
      await remoteParts.keep(destination, part);
    else await discard(context, part);
    throw explained;
  } finally {
    await local.close();
  }
}

/** Open a part for writing: a new one, or the one to continue. */
async function openPart(
  { files, host }: TransferContext,
  part: string,
  mode: number,
  from: LeftOver | undefined,
): Promise<FileHandle> {
  // Exclusive: never write to an existing file. The host's umask applies to the mode.
  if (from === undefined)
    return files.open(part, OPEN.write | OPEN.create | OPEN.exclusive, { mode: mode & 0o777 });
  const handle = await files.open(part, OPEN.write);
  const now = await files.fstat(handle);
  const isSame = (["size", "uid", "mtime"] as const).every((name) => now[name] === from.attributes[name]);
  if (isSame) return handle;
  // The part was replaced since it was verified.
  await files.closeHandle(handle);
  throw new VolleyError("SFTP_FAILED", `${host}: ${part} was changed meanwhile`, { hint: "try again" });
}

/** Return whether the part is the file: by SHA-256 where the host computes it, else by its size. */
async function verify(
  context: TransferContext,
  source: LocalFile,
  part: string,
  handle: FileHandle,
): Promise<boolean> {
  const { files, localHashes, remoteHashes, tally } = context;
  const [told, local] = await Promise.all([
    remoteHashes.whole(part, source.size),
    localHashes.of(source.local, source.size),
  ]);
  // Where the host grants no second session, read the part back.
  const isAlone = told === undefined && remoteHashes.cannot === "sessions";
  const remote = isAlone ? await readBackHash(context, part, source.size) : told;
  if (remote !== undefined) {
    tally.verified("sha256");
    return remote === local;
  }
  tally.verified("size");
  return (await files.fstat(handle)).size === source.size;
}

/** Return the attributes to set: the source's on request; else the mode of the replaced file. */
function attributesFor(
  { preserve }: TransferContext,
  { mode, mtime }: LocalFile,
  existing: FileAttributes | null,
): readonly FileAttributes[] {
  if (preserve) return [{ mode }, { mtime }];
  if (existing?.mode === undefined || !isFile(existing)) return [];
  return [{ mode: existing.mode & 0o7777 }];
}

/** Keep the owner of the replaced file, where the user may: root puts files of other users. */
function ownerFor(
  { files }: TransferContext,
  handle: FileHandle,
  existing: FileAttributes | null,
): readonly Promise<void>[] {
  if (existing === null || !isFile(existing) || existing.uid === undefined || existing.gid === undefined)
    return [];
  const { uid, gid, mode = 0o644 } = existing;
  const set = async (): Promise<void> => {
    const own = await files.fstat(handle);
    if (own.uid === uid && own.gid === gid) return;
    await files.fsetstat(handle, { uid, gid }).catch(() => {});
    // Changing the owner clears the set-id bits of the mode (chown(2)).
    if ((mode & 0o6000) !== 0) await files.fsetstat(handle, { mode: mode & 0o7777 }).catch(() => {});
  };
  return [set()];
}

/** Put a symbolic link: make it under a temporary name, then rename it over the existing file. */
export async function putLink(
  { files, tally, check, host }: TransferContext,
  path: string,
  target: string,
  existing: FileAttributes | null,
): Promise<void> {
  if (existing !== null && isDirectory(existing)) {
    throw new VolleyError("SFTP_FAILED", `${host}: cannot make the link ${path}: it is a directory`, {
      hint: "remove it first",
    });
  }
  if (existing !== null && isLink(existing) && (await files.readLink(path)) === target)
    return tally.done({ path, action: "unchanged", bytes: 0 });
  if (!check) {
    const part = partPath(path);
    await files.symlink(target, part);
    try {
      await files.rename(part, path);
    } catch (thrown) {
      await files.remove(part).catch(() => {});
      throw thrown;
    }
  }
  tally.done({ path, action: "linked", bytes: 0 });
}
