import type { FileHandle } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { getSystemErrorMap } from "node:util";
import { MESSAGE, type SftpFields, STATUS, stringField, uint32Field } from "../transport/sftp/codec.ts";
import { findFault, type HostFault } from "./options.ts";

/** The context of a host's SFTP sessions. */
export interface SftpContext {
  /** The directory that relative paths start from. */
  readonly home: string;
  readonly faults: SftpFaults;
  /** Text that the shell's profile prints before the server begins. */
  readonly profileOutput: string;
  /** Called with the size in bytes of each write. */
  readonly onBytesIn: (bytes: number) => void;
}

/** An open file or directory of a session. */
export type SftpHandle =
  | { readonly kind: "file"; readonly file: FileHandle; readonly path: string; written: boolean }
  | {
      readonly kind: "directory";
      readonly path: string;
      readonly names: readonly string[];
      position: number;
    };

/** An SFTP session, with its host and its open handles. */
export interface SftpSession {
  readonly context: SftpContext;
  readonly handles: Map<number, SftpHandle>;
  nextHandle: number;
}

/** The answer to a request: a message without its id. */
export interface Answer {
  readonly type: number;
  readonly fields: readonly Uint8Array[];
}

/** Carries out one kind of request: reads its fields and returns the answer, or throws an error of the file system. */
export type RequestHandler = (fields: SftpFields, session: SftpSession) => Promise<Answer>;

/** Return the absolute path of a path field. */
export function resolvePath(session: SftpSession, path: string): string {
  return resolve(session.context.home, path);
}

/** Return the absolute path of something about to change; throws `EACCES` when the host does not allow it. */
export function resolveWritable(session: SftpSession, path: string): string {
  const absolute = resolvePath(session, path);
  session.context.faults.checkWritable(absolute);
  return absolute;
}

/** Remember an open handle and answer with its name. */
export function addHandle(session: SftpSession, handle: SftpHandle): Answer {
  const number = session.nextHandle++;
  session.handles.set(number, handle);
  return { type: MESSAGE.handle, fields: [stringField(uint32Field(number))] };
}

/** Return the handle of this name; throws `EBADF` when there is none. */
export function findHandle(session: SftpSession, name: Buffer): SftpHandle {
  const handle = name.length === 4 ? session.handles.get(name.readUInt32BE()) : undefined;
  if (handle === undefined) throw systemError("EBADF");
  return handle;
}

/** Return the open file of this name; throws `EBADF` for other handles. */
export function findFile(session: SftpSession, name: Buffer): Extract<SftpHandle, { kind: "file" }> {
  const handle = findHandle(session, name);
  if (handle.kind !== "file") throw systemError("EBADF");
  return handle;
}

/** Answer with a status. */
export function statusOf(code: number, message: string): Answer {
  return { type: MESSAGE.status, fields: [uint32Field(code), stringField(message), stringField("")] };
}

/** The answer to a request that succeeded and returns nothing. */
export const OK: Answer = statusOf(STATUS.ok, "Success");

/** Answer with the status of a file system's error, coded as OpenSSH's sftp-server does. */
export function errorStatus(error: unknown): Answer {
  const code = errorCode(error);
  return statusOf(statusCode(code), describe(code) ?? "Failure");
}

/** Make an error as the operating system would report it, such as `ENOSPC`. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: ${describe(code) ?? code}`), { code });
}

/** Return the operating system's name of an error, or the empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function statusCode(code: string): number {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "EBADF":
    case "ELOOP":
      return STATUS.noSuchFile;
    case "EPERM":
    case "EACCES":
    case "EFAULT":
      return STATUS.permissionDenied;
    case "ENAMETOOLONG":
    case "EINVAL":
      return STATUS.badMessage;
    case "ENOSYS":
      return STATUS.unsupported;
    default:
      return STATUS.failure;
  }
}

function describe(code: string): string | undefined {
  for (const [name, message] of getSystemErrorMap().values()) {
    if (name === code) return message.charAt(0).toUpperCase() + message.slice(1);
  }
  return undefined;
}

/** The effects of a host's faults on its SFTP server. */
export interface SftpFaults {
  /** Throws `EACCES` when nothing may change at this path. */
  checkWritable(path: string): void;
  /** Throws `ENOSPC` when the host's disk has no room for so many more bytes. */
  takeSpace(bytes: number): void;
  /** Return a write's data as it arrives; `isFirst` marks the first write to a file. */
  transmit(data: Buffer, isFirst: boolean): Buffer;
}

/** Make the SFTP faults of one host, whose disk space all its connections share. */
export function createSftpFaults(faults: readonly HostFault[], homes: readonly string[]): SftpFaults {
  const isReadOnly = findFault(faults, "readOnlyHome") !== undefined;
  const corrupts = findFault(faults, "corruptUpload") !== undefined;
  let room = findFault(faults, "diskFull")?.afterBytes ?? Number.POSITIVE_INFINITY;
  return {
    checkWritable: (path) => {
      if (isReadOnly && homes.some((home) => path === home || path.startsWith(home + sep)))
        throw systemError("EACCES");
    },
    takeSpace: (bytes) => {
      if (bytes > room) throw systemError("ENOSPC");
      room -= bytes;
    },
    transmit: (data, isFirst) => {
      if (!corrupts || !isFirst || data.length === 0) return data;
      const copy = Buffer.from(data);
      const middle = Math.floor(copy.length / 2);
      copy.writeUInt8(copy.readUInt8(middle) ^ 1, middle);
      return copy;
    },
  };
}
