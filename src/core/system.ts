/** The type of a file. */
export type FileType = "file" | "directory" | "link" | "fifo" | "socket" | "block" | "character";

/** The metadata of a path. */
export interface Stat {
  readonly type: FileType;
  /** Permission bits including setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  readonly mtimeMs: number;
  readonly atimeMs: number;
  /** Time of the last change of the metadata. Of a host reached directly this and the numbers below are 0, and times whole seconds, unless `exact` is asked for. */
  readonly ctimeMs: number;
  readonly inode: number;
  readonly device: number;
  readonly links: number;
  /** Blocks of 512 bytes that are in use. */
  readonly blocks: number;
  /** Bytes of a read or write that suits the file system. */
  readonly blockSize: number;
  /** Number of the device that a device file stands for. */
  readonly rdev: number;
}

/** The end of a process, and its output. */
export interface ProcessResult {
  readonly argv: readonly string[];
  /** Exit code; 128 + the signal's number when a signal ended it. */
  readonly code: number;
  readonly signal?: string;
  /** Standard output as UTF-8 ({@link ProcessOptions.keepsBytes}), at most {@link ProcessOptions.maxOutput} bytes of it. */
  readonly stdout: string;
  readonly stderr: string;
  /** True when output was cut at the bound. */
  readonly truncated?: boolean;
}

/** Options of starting a process. */
export interface ProcessOptions {
  /** Default: {@link ReadSystem.workingDirectory}. */
  readonly cwd?: string;
  /** Added to the target's own environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string | Uint8Array;
  /** Called with every piece of output as it comes, for live display. */
  readonly onOutput?: (stream: "stdout" | "stderr", text: string) => void;
  /** No default: a process may take as long as it needs. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Bytes of the output that are not UTF-8 can be had back: it is text as `bytesToText` gives it. Default: they are U+FFFD. */
  readonly keepsBytes?: boolean;
  /** Bytes kept of each stream, the rest is dropped. Default 1 MiB. */
  readonly maxOutput?: number;
}

/** The machine being worked on, as `inspect` sees it: it can be read and asked, not changed. */
export interface ReadSystem {
  /** The user this runs as. */
  readonly uid: number;
  readonly gid: number;
  /** Follows links; null when there is nothing (or a dangling link, or no directory on the way). `exact`: with all of Stat. */
  stat(path: string, exact?: boolean): Promise<Stat | null>;
  /** Does not follow links; null when there is nothing. */
  lstat(path: string, exact?: boolean): Promise<Stat | null>;
  /** Fails with `FILE_FAILED` when it cannot be read. */
  readFile(path: string): Promise<Buffer>;
  /** As UTF-8. Fails with `FILE_FAILED` when it cannot be read. */
  readText(path: string): Promise<string>;
  /** Null when there is no such file; fails when it is there and cannot be read. */
  readIfExists(path: string): Promise<Buffer | null>;
  /** Hex digest of a file's content, read piece by piece; algorithms as node:crypto names them. */
  checksum(path: string, algorithm: string): Promise<string>;
  /** Names in a directory, sorted, without `.` and `..`. */
  list(path: string): Promise<readonly string[]>;
  readLink(path: string): Promise<string>;
  realPath(path: string): Promise<string>;
  /**
   * Return the default directory of commands, as in Ansible: the home of the login user, with become too, where the
   * user may read it; else the user's own home, else `/`.
   */
  workingDirectory(): Promise<string>;
  /** The absolute path of a command on PATH (/usr/sbin and /sbin included); null when there is none. */
  which(command: string): Promise<string | null>;
  /**
   * Open a connection to a port as the machine does; rejects when nothing answers. Absent: this process runs on the
   * machine, and opens it by itself.
   */
  dial?(host: string, port: number): Promise<NodeJS.ReadWriteStream>;
  /**
   * Run a command whose standard input and output are a stream of this process, which is left open. The output that
   * is returned has `stderr` alone. Absent: this process runs on the machine, and starts commands by itself.
   */
  pipe?(
    argv: readonly string[],
    stream: NodeJS.ReadWriteStream,
    options?: Pick<ProcessOptions, "signal">,
  ): Promise<ProcessResult>;
  /** Run a command that only asks (`dpkg-query`, `systemctl show`); read-only by trust. A non-zero exit is a result, not an error. */
  query(argv: readonly string[], options?: ProcessOptions): Promise<ProcessResult>;
}

/** Options of {@link System.writeFile}. */
export interface WriteOptions {
  /**
   * Permission bits of the new file; default: those of the file replaced, without setuid and setgid when the owner or
   * group differs, else 0o666 less the umask.
   */
  readonly mode?: number;
  /**
   * Default: those of the file replaced, else the running user's. A user who may not give the file to the owner of the
   * file replaced keeps it, with mode 0o600 by default.
   */
  readonly uid?: number;
  readonly gid?: number;
  /** Write the file itself where its directory lets no other take its place: readers may see a part. Default: false. */
  readonly inPlace?: boolean;
}

/** A file of the machine itself as content: it is copied there, however large it is. */
export interface CopyOf {
  readonly copyOf: string;
}

/** Content to be written: at once, or piece by piece. */
export type Content = string | Uint8Array | AsyncIterable<Uint8Array> | CopyOf;

/** True for content that is a {@link CopyOf}. */
export function isCopy(content: Content): content is CopyOf {
  return typeof content !== "string" && "copyOf" in content;
}

/** The way in which a file got its content. */
export type Written = "replaced" | "in place";

/** The machine being worked on, as `apply` sees it. */
export interface System extends ReadSystem {
  /**
   * Write a whole file atomically: to a temporary name in the same directory, then renamed over `path`.
   * A link is replaced, not followed: resolve it first with `realPath` where it should be. A file that is a mount of
   * its own, as containers have them, cannot be replaced: it is written over, in place. The ACL of a file replaced is
   * kept where the machine has getfacl(1) and setfacl(1); a host that is reached directly keeps it for root only where
   * nobody else can exchange what is in the directory.
   */
  writeFile(path: string, content: Content, options?: WriteOptions): Promise<Written>;
  /** Make one directory; its parent must exist. Default mode 0o777 less the umask. */
  makeDirectory(path: string, mode?: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** Does not follow links. -1 leaves an id as it is. Files lose setuid and setgid, as by chown(2). */
  chown(path: string, uid: number, gid: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  /** Replace what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  /** Remove a file, link, or (recursively) a directory; nothing happens when there is none. */
  remove(path: string): Promise<void>;
  setTimes(path: string, atimeMs: number, mtimeMs: number): Promise<void>;
  /** A new directory only this user can read, removed when the run ends. */
  temporaryDirectory(): Promise<string>;
  /** Run a command that may change things. A non-zero exit is a result, not an error; a command that cannot be started fails with `PROCESS_FAILED`. */
  run(argv: readonly string[], options?: ProcessOptions): Promise<ProcessResult>;
}

/** The names of the methods that every System has. */
export const SYSTEM_CALLS = [
  "stat",
  "lstat",
  "readFile",
  "readText",
  "readIfExists",
  "checksum",
  "list",
  "readLink",
  "realPath",
  "workingDirectory",
  "which",
  "query",
  "writeFile",
  "makeDirectory",
  "chmod",
  "chown",
  "symlink",
  "link",
  "rename",
  "remove",
  "setTimes",
  "temporaryDirectory",
  "run",
] as const satisfies readonly (keyof System)[];

/** The name of a method in {@link SYSTEM_CALLS}. */
export type SystemCall = (typeof SYSTEM_CALLS)[number];
