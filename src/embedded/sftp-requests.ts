import { constants, type Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  attributesField,
  type FileAttributes,
  MAX_DATA_BYTES,
  MESSAGE,
  OPEN,
  STATUS,
  stringField,
  uint32Field,
} from "../transport/sftp/codec.ts";
import {
  type Answer,
  addHandle,
  errorCode,
  findFile,
  findHandle,
  OK,
  type RequestHandler,
  resolvePath,
  resolveWritable,
  statusOf,
  systemError,
} from "./sftp-session.ts";

/** Entries in one reply to READDIR, as many as sftp-server sends. */
const ENTRIES_PER_REPLY = 100;

const END_OF_FILE = statusOf(STATUS.endOfFile, "End of file");

/** The requests of SFTP version 3, by the type of their message. */
export const requests: Readonly<Record<number, RequestHandler>> = {
  async [MESSAGE.open](fields, session) {
    const name = fields.text();
    const flags = toOpenFlags(fields.uint32());
    const { mode } = fields.attributes();
    const writes = (flags & ~constants.O_RDONLY) !== 0;
    const path = writes ? resolveWritable(session, name) : resolvePath(session, name);
    const file = await fs.open(path, flags, (mode ?? 0o666) & 0o7777);
    return addHandle(session, { kind: "file", file, path, written: false });
  },

  async [MESSAGE.close](fields, session) {
    const name = fields.bytes();
    const handle = findHandle(session, name);
    session.handles.delete(name.readUInt32BE());
    if (handle.kind === "file") await handle.file.close();
    return OK;
  },

  async [MESSAGE.read](fields, session) {
    const { file } = findFile(session, fields.bytes());
    const offset = fields.uint64();
    const length = Math.min(fields.uint32(), MAX_DATA_BYTES);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    if (bytesRead === 0) return END_OF_FILE;
    return { type: MESSAGE.data, fields: [uint32Field(bytesRead), buffer.subarray(0, bytesRead)] };
  },

  async [MESSAGE.write](fields, session) {
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
    return OK;
  },

  async [MESSAGE.fstat](fields, session) {
    const handle = findHandle(session, fields.bytes());
    return attributesOf(handle.kind === "file" ? await handle.file.stat() : await fs.stat(handle.path));
  },

  async [MESSAGE.fsetstat](fields, session) {
    const { file, path } = findFile(session, fields.bytes());
    session.context.faults.checkWritable(path);
    await setAttributes(fields.attributes(), {
      truncate: (size) => file.truncate(size),
      chmod: (mode) => file.chmod(mode),
      utimes: (atime, mtime) => file.utimes(atime, mtime),
      chown: (uid, gid) => file.chown(uid, gid),
    });
    return OK;
  },

  async [MESSAGE.openDirectory](fields, session) {
    const path = resolvePath(session, fields.text());
    const names = [".", "..", ...(await fs.readdir(path))];
    return addHandle(session, { kind: "directory", path, names, position: 0 });
  },

  async [MESSAGE.readDirectory](fields, session) {
    const handle = findHandle(session, fields.bytes());
    if (handle.kind !== "directory") throw systemError("EBADF");
    const entries: Buffer[] = [];
    while (entries.length < ENTRIES_PER_REPLY && handle.position < handle.names.length) {
      const name = handle.names[handle.position++]!;
      // An entry may vanish after it was listed.
      const stats = await fs.lstat(join(handle.path, name)).catch(() => undefined);
      if (stats === undefined) continue;
      const attributes = attributesField(toAttributes(stats));
      entries.push(Buffer.concat([stringField(name), stringField(longName(name, stats)), attributes]));
    }
    if (entries.length === 0) return END_OF_FILE;
    return { type: MESSAGE.name, fields: [uint32Field(entries.length), ...entries] };
  },

  async [MESSAGE.stat](fields, session) {
    return attributesOf(await fs.stat(resolvePath(session, fields.text())));
  },

  async [MESSAGE.lstat](fields, session) {
    return attributesOf(await fs.lstat(resolvePath(session, fields.text())));
  },

  async [MESSAGE.setstat](fields, session) {
    const path = resolveWritable(session, fields.text());
    await setAttributes(fields.attributes(), {
      truncate: (size) => fs.truncate(path, size),
      chmod: (mode) => fs.chmod(path, mode),
      utimes: (atime, mtime) => fs.utimes(path, atime, mtime),
      chown: (uid, gid) => fs.chown(path, uid, gid),
    });
    return OK;
  },

  async [MESSAGE.remove](fields, session) {
    await fs.unlink(resolveWritable(session, fields.text()));
    return OK;
  },

  async [MESSAGE.makeDirectory](fields, session) {
    const path = resolveWritable(session, fields.text());
    const { mode } = fields.attributes();
    await fs.mkdir(path, { mode: (mode ?? 0o777) & 0o777 });
    return OK;
  },

  async [MESSAGE.removeDirectory](fields, session) {
    await fs.rmdir(resolveWritable(session, fields.text()));
    return OK;
  },

  async [MESSAGE.realPath](fields, session) {
    return oneName(await realPath(resolvePath(session, fields.text())));
  },

  async [MESSAGE.readLink](fields, session) {
    return oneName(await fs.readlink(resolvePath(session, fields.text())));
  },

  async [MESSAGE.rename](fields, session) {
    const from = resolveWritable(session, fields.text());
    await renameToFree(from, resolveWritable(session, fields.text()));
    return OK;
  },

  async [MESSAGE.symlink](fields, session) {
    // OpenSSH has the two paths in the order of symlink(2), unlike the draft, and its clients follow it.
    const target = fields.text();
    await fs.symlink(target, resolveWritable(session, fields.text()));
    return OK;
  },
};

/** Answer with one path. */
export function oneName(path: string): Answer {
  const fields = [uint32Field(1), stringField(path), stringField(path), attributesField()];
  return { type: MESSAGE.name, fields };
}

/** Return the canonical path; its last part need not exist. */
export async function realPath(path: string): Promise<string> {
  try {
    return await fs.realpath(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return join(await fs.realpath(dirname(path)), basename(path));
  }
}

/** The ways to set attributes of a file, of an open file or of a link. */
interface AttributeSetters {
  truncate(size: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  utimes(atime: number, mtime: number): Promise<void>;
  chown(uid: number, gid: number): Promise<void>;
}

/** Set the given attributes in the order of sftp-server. */
export async function setAttributes(
  { size, mode, atime, mtime, uid, gid }: FileAttributes,
  setters: AttributeSetters,
): Promise<void> {
  if (size !== undefined) await setters.truncate(size);
  if (mode !== undefined) await setters.chmod(mode & 0o7777);
  if (atime !== undefined && mtime !== undefined) await setters.utimes(atime, mtime);
  if (uid !== undefined && gid !== undefined) await setters.chown(uid, gid);
}

async function renameToFree(from: string, to: string): Promise<void> {
  if ((await fs.lstat(from)).isFile()) {
    // rename(2) would replace the target; link(2) refuses to, without a gap in between.
    await fs.link(from, to);
    await fs.unlink(from);
    return;
  }
  const isTaken = await fs.stat(to).then(
    () => true,
    () => false,
  );
  if (isTaken) throw systemError("EEXIST");
  await fs.rename(from, to);
}

function toOpenFlags(flags: number): number {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const access = has(OPEN.write)
    ? has(OPEN.read)
      ? constants.O_RDWR
      : constants.O_WRONLY
    : constants.O_RDONLY;
  return (
    access |
    (has(OPEN.append) ? constants.O_APPEND : 0) |
    (has(OPEN.create) ? constants.O_CREAT : 0) |
    (has(OPEN.truncate) ? constants.O_TRUNC : 0) |
    (has(OPEN.exclusive) ? constants.O_EXCL : 0)
  );
}

function attributesOf(stats: Stats): Answer {
  return { type: MESSAGE.attributes, fields: [attributesField(toAttributes(stats))] };
}

function toAttributes({ size, uid, gid, mode, atimeMs, mtimeMs }: Stats): FileAttributes {
  return { size, uid, gid, mode, atime: atimeMs / 1_000, mtime: mtimeMs / 1_000 };
}

/** Return a directory entry as `ls -l` shows it; people see it in an SFTP client's listing. */
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
