import { constants, type Stats } from "node:fs";
import {
  chmod,
  chown,
  type FileHandle,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rmdir,
  stat,
  symlink,
  truncate,
  unlink,
  utimes,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  attributesField,
  encodeMessage,
  maxDataBytes,
  messageType,
  type SftpAttributes,
  stringField,
  uint32Field,
} from "./sftp-protocol.ts";
import {
  addHandle,
  encodeOk,
  encodeStatus,
  errorCode,
  findFile,
  findHandle,
  type RequestHandler,
  resolvePath,
  resolveWritable,
  statusCode,
  systemError,
} from "./sftp-session.ts";

const openFlag = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const;

/** Entries in one reply to READDIR, as many as sftp-server sends. */
const entriesPerReply = 100;

/** Requests that open files and directories, and those that take a handle. */
export const handleRequests: Readonly<Record<number, RequestHandler>> = {
  async [messageType.open](id, fields, session) {
    const name = fields.text();
    const flags = toOpenFlags(fields.uint32());
    const { mode } = fields.attributes();
    const writes = (flags & ~constants.O_RDONLY) !== 0;
    const path = writes ? resolveWritable(session, name) : resolvePath(session, name);
    const file = await open(path, flags, (mode ?? 0o666) & 0o7777);
    const handle = addHandle(session, { kind: "file", file, path, written: false });
    return encodeMessage(messageType.handle, uint32Field(id), stringField(handle));
  },

  async [messageType.close](id, fields, session) {
    const name = fields.bytes();
    const handle = findHandle(session, name);
    session.handles.delete(name.readUInt32BE());
    if (handle.kind === "file") await handle.file.close();
    return encodeOk(id);
  },

  async [messageType.read](id, fields, session) {
    const { file } = findFile(session, fields.bytes());
    const offset = fields.uint64();
    const length = Math.min(fields.uint32(), maxDataBytes);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    if (bytesRead === 0) return encodeStatus(id, statusCode.endOfFile, "End of file");
    return encodeMessage(messageType.data, uint32Field(id), stringField(buffer.subarray(0, bytesRead)));
  },

  async [messageType.write](id, fields, session) {
    const handle = findFile(session, fields.bytes());
    const offset = fields.uint64();
    const data = fields.bytes();
    const { faults, onBytesIn } = session.context;
    onBytesIn(data.length);
    faults.takeSpace(data.length);
    const arrived = faults.transmit(data, !handle.written);
    handle.written = true;
    for (let done = 0; done < arrived.length; ) {
      const { bytesWritten } = await handle.file.write(arrived, done, arrived.length - done, offset + done);
      done += bytesWritten;
    }
    return encodeOk(id);
  },

  async [messageType.fstat](id, fields, session) {
    const handle = findHandle(session, fields.bytes());
    const stats = handle.kind === "file" ? await handle.file.stat() : await stat(handle.path);
    return encodeMessage(messageType.attrs, uint32Field(id), attributesField(toAttributes(stats)));
  },

  async [messageType.fsetstat](id, fields, session) {
    const { file, path } = findFile(session, fields.bytes());
    session.context.faults.checkWritable(path);
    await setFileAttributes(file, fields.attributes());
    return encodeOk(id);
  },

  async [messageType.opendir](id, fields, session) {
    const path = resolvePath(session, fields.text());
    const names = [".", "..", ...(await readdir(path))];
    const handle = addHandle(session, { kind: "directory", path, names, position: 0 });
    return encodeMessage(messageType.handle, uint32Field(id), stringField(handle));
  },

  async [messageType.readdir](id, fields, session) {
    const handle = findHandle(session, fields.bytes());
    if (handle.kind !== "directory") throw systemError("EBADF");
    const entries: Buffer[] = [];
    while (entries.length < entriesPerReply && handle.position < handle.names.length) {
      const name = handle.names[handle.position] ?? "";
      handle.position += 1;
      // An entry may vanish between being listed and being looked at.
      const stats = await lstat(join(handle.path, name)).catch(() => undefined);
      if (stats === undefined) continue;
      const attributes = attributesField(toAttributes(stats));
      entries.push(Buffer.concat([stringField(name), stringField(longName(name, stats)), attributes]));
    }
    if (entries.length === 0) return encodeStatus(id, statusCode.endOfFile, "End of file");
    return encodeMessage(messageType.name, uint32Field(id), uint32Field(entries.length), ...entries);
  },
};

function toOpenFlags(flags: number): number {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const access = has(openFlag.write)
    ? has(openFlag.read)
      ? constants.O_RDWR
      : constants.O_WRONLY
    : constants.O_RDONLY;
  return (
    access |
    (has(openFlag.append) ? constants.O_APPEND : 0) |
    (has(openFlag.create) ? constants.O_CREAT : 0) |
    (has(openFlag.truncate) ? constants.O_TRUNC : 0) |
    (has(openFlag.exclusive) ? constants.O_EXCL : 0)
  );
}

/** Requests that name a path. */
export const pathRequests: Readonly<Record<number, RequestHandler>> = {
  async [messageType.stat](id, fields, session) {
    const stats = await stat(resolvePath(session, fields.text()));
    return encodeMessage(messageType.attrs, uint32Field(id), attributesField(toAttributes(stats)));
  },

  async [messageType.lstat](id, fields, session) {
    const stats = await lstat(resolvePath(session, fields.text()));
    return encodeMessage(messageType.attrs, uint32Field(id), attributesField(toAttributes(stats)));
  },

  async [messageType.setstat](id, fields, session) {
    await setAttributes(resolveWritable(session, fields.text()), fields.attributes());
    return encodeOk(id);
  },

  async [messageType.remove](id, fields, session) {
    await unlink(resolveWritable(session, fields.text()));
    return encodeOk(id);
  },

  async [messageType.mkdir](id, fields, session) {
    const path = resolveWritable(session, fields.text());
    const { mode } = fields.attributes();
    await mkdir(path, { mode: (mode ?? 0o777) & 0o777 });
    return encodeOk(id);
  },

  async [messageType.rmdir](id, fields, session) {
    await rmdir(resolveWritable(session, fields.text()));
    return encodeOk(id);
  },

  async [messageType.realpath](id, fields, session) {
    return encodeName(id, await realPath(resolvePath(session, fields.text())));
  },

  async [messageType.readlink](id, fields, session) {
    return encodeName(id, await readlink(resolvePath(session, fields.text())));
  },

  async [messageType.rename](id, fields, session) {
    const from = resolveWritable(session, fields.text());
    const to = resolveWritable(session, fields.text());
    await renameToFree(from, to);
    return encodeOk(id);
  },

  async [messageType.symlink](id, fields, session) {
    // OpenSSH has the two in the order of symlink(2), not in the draft's, and clients of it follow.
    const target = fields.text();
    await symlink(target, resolveWritable(session, fields.text()));
    return encodeOk(id);
  },
};

/** The reply that carries one path. */
export function encodeName(id: number, path: string): Buffer {
  return encodeMessage(
    messageType.name,
    uint32Field(id),
    uint32Field(1),
    stringField(path),
    stringField(path),
    attributesField({}),
  );
}

/** The canonical path, whose last part need not exist. */
export async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return join(await realpath(dirname(path)), basename(path));
  }
}

async function renameToFree(from: string, to: string): Promise<void> {
  if ((await lstat(from)).isFile()) {
    // rename(2) would replace the target; link(2) refuses to, without a gap in between.
    await link(from, to);
    await unlink(from);
    return;
  }
  const taken = await stat(to).then(
    () => true,
    () => false,
  );
  if (taken) throw systemError("EEXIST");
  await rename(from, to);
}

/** A file's attributes as SFTP sends them. */
function toAttributes(stats: Stats): SftpAttributes {
  return {
    size: stats.size,
    owner: { uid: stats.uid, gid: stats.gid },
    mode: stats.mode,
    times: { accessed: Math.trunc(stats.atimeMs / 1000), modified: Math.trunc(stats.mtimeMs / 1000) },
  };
}

/** Sets attributes of what a path leads to, in the order sftp-server does. */
async function setAttributes(path: string, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) await truncate(path, size);
  if (mode !== undefined) await chmod(path, mode & 0o7777);
  if (times !== undefined) await utimes(path, times.accessed, times.modified);
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
}

/** Sets attributes of an open file. */
async function setFileAttributes(file: FileHandle, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) await file.truncate(size);
  if (mode !== undefined) await file.chmod(mode & 0o7777);
  if (times !== undefined) await file.utimes(times.accessed, times.modified);
  if (owner !== undefined) await file.chown(owner.uid, owner.gid);
}

/** Sets attributes of a link itself (lsetstat@openssh.com); a size or mode of a link cannot be set on Linux. */
export async function setLinkAttributes(path: string, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) throw systemError("EINVAL");
  if (mode !== undefined) throw systemError("ENOTSUP");
  if (times !== undefined) await lutimes(path, times.accessed, times.modified);
  if (owner !== undefined) await lchown(path, owner.uid, owner.gid);
}

/** A directory entry as `ls -l` shows it, which is what people see in an SFTP client's listing. */
function longName(name: string, stats: Stats): string {
  const columns = [
    modeText(stats),
    String(stats.nlink).padStart(4),
    String(stats.uid).padEnd(8),
    String(stats.gid).padEnd(8),
    String(stats.size).padStart(8),
    timeText(stats.mtime),
  ];
  return `${columns.join(" ")} ${name}`;
}

function modeText(stats: Stats): string {
  const type = stats.isDirectory() ? "d" : stats.isSymbolicLink() ? "l" : stats.isFile() ? "-" : "?";
  const bits = [..."rwxrwxrwx"].map((letter, index) => (stats.mode & (0o400 >> index) ? letter : "-"));
  return type + bits.join("");
}

function timeText(time: Date): string {
  const month = time.toLocaleString("en-US", { month: "short" });
  const day = String(time.getDate()).padStart(2);
  const clock = [time.getHours(), time.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
  return `${month} ${day} ${clock}`;
}
