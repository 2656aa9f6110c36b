import { constants } from "node:fs";
import { lstat, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { longName, setFileAttributes, toAttributes } from "./sftp-attributes.ts";
import {
  attributesField,
  encodeMessage,
  maxDataBytes,
  messageType,
  stringField,
  uint32Field,
} from "./sftp-protocol.ts";
import {
  addHandle,
  findFile,
  findHandle,
  type RequestHandler,
  resolvePath,
  resolveWritable,
} from "./sftp-session.ts";
import { encodeOk, encodeStatus, statusCode, systemError } from "./sftp-status.ts";

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
