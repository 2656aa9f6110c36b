import type { FileAttributes } from "./sftp/codec.ts";

/** A name in a directory on a host. */
export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: FileAttributes;
}

/** Free room of a file system, from the extension `statvfs@openssh.com`. */
export interface FreeSpace {
  /** Bytes that the logged-in user may still write. */
  readonly freeBytes: number;
  /** Files that still fit; infinite where the file system has no such limit. */
  readonly freeFiles: number;
  /** True when the file system is mounted read-only. */
  readonly isReadOnly: boolean;
}

/** An open file on a host: an opaque handle of the server's. */
export type FileHandle = Buffer;

/**
 * Files on one host over SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions. Callers need not await
 * one request before the next: requests are sent in order and are in flight together. Every method fails with
 * `SFTP_FAILED` (`sftpStatus` returns its status code) or with `CONNECTION_LOST`.
 */
export interface FileSession {
  /** Largest write and read that the server takes in one request, in bytes: its `limits@openssh.com`, else 32 KiB. */
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  /** Open a file; `flags` is a sum of `OPEN`. */
  open(path: string, flags: number, attributes?: FileAttributes): Promise<FileHandle>;
  closeHandle(handle: FileHandle): Promise<void>;
  /** Read at most `length` bytes from `position`; null at the end of the file. A server may send fewer. */
  read(handle: FileHandle, position: number, length: number): Promise<Buffer | null>;
  write(handle: FileHandle, position: number, bytes: Uint8Array): Promise<void>;
  /** Return null when nothing is at the path. */
  stat(path: string): Promise<FileAttributes | null>;
  lstat(path: string): Promise<FileAttributes | null>;
  fstat(handle: FileHandle): Promise<FileAttributes>;
  setstat(path: string, attributes: FileAttributes): Promise<void>;
  fsetstat(handle: FileHandle, attributes: FileAttributes): Promise<void>;
  /** Set attributes without following a link (`lsetstat@openssh.com`); fails with status 8 where the server cannot. */
  lsetstat(path: string, attributes: FileAttributes): Promise<void>;
  /** List a directory without `.` and `..`, in the server's order. */
  list(path: string): Promise<readonly DirectoryEntry[]>;
  makeDirectory(path: string, attributes?: FileAttributes): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Rename a file over an existing one (`posix-rename@openssh.com` where the server has it). */
  rename(from: string, to: string): Promise<void>;
  readLink(path: string): Promise<string>;
  /** Make a symbolic link at `path` that points to `target`. */
  symlink(target: string, path: string): Promise<void>;
  /** Make a hard link (`hardlink@openssh.com`); fails with status 8 where the server cannot. */
  link(existing: string, path: string): Promise<void>;
  realPath(path: string): Promise<string>;
  /** Return the full path, with `~user` as the host knows it (`expand-path@openssh.com`); fails with status 8 where the server cannot. */
  expandPath(path: string): Promise<string>;
  /** Return undefined where the server cannot tell. */
  freeSpace(path: string): Promise<FreeSpace | undefined>;
  /** Write a file's content to the disk (`fsync@openssh.com`); does nothing where the server cannot. */
  sync(handle: FileHandle): Promise<void>;
  /** Close the session; requests in flight fail with `CONNECTION_LOST`. */
  close(): void;
  /** Resolves when the server's process is gone, and sshd has freed the session's place; never rejects. */
  readonly closed: Promise<unknown>;
}
