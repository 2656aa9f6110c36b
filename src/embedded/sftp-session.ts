import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import type { SftpFaults } from "./sftp-faults.ts";
import type { MessageReader } from "./sftp-protocol.ts";
import { systemError } from "./sftp-status.ts";

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
export type SftpHandle =
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
