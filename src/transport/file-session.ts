/** What is known of a file on a host; every field may be missing, because SFTP servers leave out what they do not know. */
export interface FileAttributes {
  /** Type and permission bits as in stat(2). */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes. */
  readonly size?: number;
  /** Seconds since 1970: SFTP version 3 knows no finer times. */
  readonly atime?: number;
  readonly mtime?: number;
}

/** A name in a directory on a host. */
export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: FileAttributes;
}

/** Free room of a file system, as the extension `statvfs@openssh.com` tells it. */
export interface FreeSpace {
  /** Bytes that the logged-in user may still write. */
  readonly freeBytes: number;
  /** Files that may still be made; infinite where the file system has no such limit. */
  readonly freeFiles: number;
  /** Nothing can be written there at all. */
  readonly isReadOnly: boolean;
}

/** An open file on a host: an opaque handle of the server's. */
export type FileHandle = Buffer;

/**
 * Files on one host over SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions. Requests may be made
 * without awaiting earlier ones: they are sent in order and are in flight together. Every method fails with
 * `SFTP_FAILED` and a `details.status` (the protocol's status code), or with `CONNECTION_LOST`.
 */
export interface FileSession {
  /** Largest write and read the server takes in one request, in bytes: its `limits@openssh.com`, else 32 KiB. */
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  /** `flags` as of SFTP: 1 read, 2 write, 4 append, 8 create, 16 truncate, 32 exclusive. */
  open(path: string, flags: number, attributes?: FileAttributes): Promise<FileHandle>;
  close(handle: FileHandle): Promise<void>;
  /** At most `length` bytes from `position`; null at the end of the file. Servers may give fewer. */
  read(handle: FileHandle, position: number, length: number): Promise<Buffer | null>;
  write(handle: FileHandle, position: number, bytes: Uint8Array): Promise<void>;
  /** Null when there is nothing. */
  stat(path: string): Promise<FileAttributes | null>;
  lstat(path: string): Promise<FileAttributes | null>;
  fstat(handle: FileHandle): Promise<FileAttributes>;
  setstat(path: string, attributes: FileAttributes): Promise<void>;
  fsetstat(handle: FileHandle, attributes: FileAttributes): Promise<void>;
  /** Does not follow links (`lsetstat@openssh.com`); fails with status 8 where the server cannot. */
  lsetstat(path: string, attributes: FileAttributes): Promise<void>;
  /** Without `.` and `..`, in the server's order. */
  list(path: string): Promise<readonly DirectoryEntry[]>;
  makeDirectory(path: string, attributes?: FileAttributes): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Replaces what is at `to` (`posix-rename@openssh.com` where there is one). */
  rename(from: string, to: string): Promise<void>;
  readLink(path: string): Promise<string>;
  /** Makes a link at `path` that leads to `target`. */
  symlink(target: string, path: string): Promise<void>;
  /** A hard link (`hardlink@openssh.com`). */
  link(existing: string, path: string): Promise<void>;
  realPath(path: string): Promise<string>;
  /** In full, with `~user` as the host knows it (`expand-path@openssh.com`); fails with status 8 where the server cannot. */
  expandPath(path: string): Promise<string>;
  /** Undefined where the server cannot tell. */
  freeSpace(path: string): Promise<FreeSpace | undefined>;
  /** Writes a file's content to the disk (`fsync@openssh.com`); nothing happens where the server cannot. */
  sync(handle: FileHandle): Promise<void>;
  /** Ends the session; what is in flight fails with `CONNECTION_LOST`. */
  end(): void;
  /** Resolves when the server's process is gone, and with it the session's place among those sshd grants; never rejects. */
  readonly ended: Promise<unknown>;
}
