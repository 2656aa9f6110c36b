import type { FileHandle } from "node:fs/promises";
import { resolve, sep } from "node:path";
import { getSystemErrorMap } from "node:util";
import { findFault, type HostFault } from "./faults.ts";
import { encodeMessage, type MessageReader, messageType, stringField, uint32Field } from "./sftp-protocol.ts";

/** What a host gives its SFTP sessions. */
export interface SftpContext {
  /** What relative paths are relative to. */
  readonly home: string;
  readonly faults: SftpFaults;
  /** Text that the shell's profile prints before the server begins. */
  readonly profileOutput: string;
  /** Called with the size in bytes of each write. */
  readonly onBytesIn: (bytes: number) => void;
}

/** An open file or directory of a session. */
type SftpHandle =
  | { readonly kind: "file"; readonly file: FileHandle; readonly path: string; written: boolean }
  | {
      readonly kind: "directory";
      readonly path: string;
      readonly names: readonly string[];
      position: number;
    };

/** One SFTP session: its host and what it holds open. */
export interface SftpSession {
  readonly context: SftpContext;
  readonly handles: Map<number, SftpHandle>;
  nextHandle: number;
}

/** Carries out one kind of request: reads its fields and returns the whole reply. */
export type RequestHandler = (id: number, fields: MessageReader, session: SftpSession) => Promise<Buffer>;

/** The absolute path of a path field. */
export function resolvePath(session: SftpSession, path: string): string {
  return resolve(session.context.home, path);
}

/** The absolute path of something about to change; throws `EACCES` when the host does not allow it. */
export function resolveWritable(session: SftpSession, path: string): string {
  const absolute = resolvePath(session, path);
  session.context.faults.checkWritable(absolute);
  return absolute;
}

/** Remembers a handle and returns its name on the wire. */
export function addHandle(session: SftpSession, handle: SftpHandle): Buffer {
  const number = session.nextHandle;
  session.nextHandle += 1;
  session.handles.set(number, handle);
  const name = Buffer.alloc(4);
  name.writeUInt32BE(number);
  return name;
}

/** The handle with this name; throws `EBADF` when there is none. */
export function findHandle(session: SftpSession, name: Buffer): SftpHandle {
  const handle = name.length === 4 ? session.handles.get(name.readUInt32BE()) : undefined;
  if (handle === undefined) throw systemError("EBADF");
  return handle;
}

/** The file with this handle; throws `EBADF` when it is none. */
export function findFile(session: SftpSession, name: Buffer): Extract<SftpHandle, { kind: "file" }> {
  const handle = findHandle(session, name);
  if (handle.kind !== "file") throw systemError("EBADF");
  return handle;
}

/** Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7). */
export const statusCode = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  unsupported: 8,
} as const;

/** A status reply. */
export function encodeStatus(id: number, code: number, message: string): Buffer {
  return encodeMessage(
    messageType.status,
    uint32Field(id),
    uint32Field(code),
    stringField(message),
    stringField(""),
  );
}

/** The reply to a request that succeeded and has nothing to return. */
export function encodeOk(id: number): Buffer {
  return encodeStatus(id, statusCode.ok, "Success");
}

/** The status reply for an error of the file system, coded as OpenSSH's sftp-server does. */
export function encodeError(id: number, error: unknown): Buffer {
  const code = errorCode(error);
  return encodeStatus(id, statusOf(code), describe(code) ?? "Failure");
}

/** An error as the operating system would report it, such as `ENOSPC`. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: ${describe(code) ?? code}`), { code });
}

/** The operating system's name for what went wrong, or the empty string. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function statusOf(code: string): number {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
    case "EBADF":
    case "ELOOP":
      return statusCode.noSuchFile;
    case "EPERM":
    case "EACCES":
    case "EFAULT":
      return statusCode.permissionDenied;
    case "ENAMETOOLONG":
    case "EINVAL":
      return statusCode.badMessage;
    case "ENOSYS":
      return statusCode.unsupported;
    default:
      return statusCode.failure;
  }
}

function describe(code: string): string | undefined {
  for (const [name, message] of getSystemErrorMap().values()) {
    if (name === code) return message.charAt(0).toUpperCase() + message.slice(1);
  }
  return undefined;
}

/** What a host's faults do to its SFTP server. */
export interface SftpFaults {
  /** Throws `EACCES` when nothing may change at this path. */
  checkWritable(path: string): void;
  /** Throws `ENOSPC` when the host's disk has no room for so many bytes more. */
  takeSpace(bytes: number): void;
  /** What arrives of a write; `first` says whether it is the file's first. */
  transmit(data: Buffer, first: boolean): Buffer;
}

/** The SFTP faults of one host, whose disk space all its connections share. */
export function createSftpFaults(faults: readonly HostFault[], homes: readonly string[]): SftpFaults {
  const readOnly = findFault(faults, "readOnlyHome") !== undefined;
  const corrupt = findFault(faults, "corruptUpload") !== undefined;
  let room = findFault(faults, "diskFull")?.afterBytes ?? Number.POSITIVE_INFINITY;
  return {
    checkWritable(path) {
      if (readOnly && homes.some((home) => path === home || path.startsWith(home + sep))) {
        throw systemError("EACCES");
      }
    },
    takeSpace(bytes) {
      if (bytes > room) throw systemError("ENOSPC");
      room -= bytes;
    },
    transmit(data, first) {
      if (!corrupt || !first || data.length === 0) return data;
      const copy = Buffer.from(data);
      const middle = Math.floor(copy.length / 2);
      copy.writeUInt8(copy.readUInt8(middle) ^ 1, middle);
      return copy;
    },
  };
}
