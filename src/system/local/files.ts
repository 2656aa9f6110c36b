import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import {
  type Content,
  type FileType,
  isCopy,
  type Stat,
  type WriteOptions,
  type Written,
} from "../../core/system.ts";
import {
  attributesCommand,
  deniedBy,
  modeOfReplacement,
  type Protection,
  protectionOf,
} from "../../core/unix/permissions.ts";
import { isUtf8, nativePath, textToBytes } from "../../core/values/bytes.ts";
import { holdDirectory, O_PATH, openToRead } from "./root-paths.ts";

// All calls are synchronous: actions run one after the other, and a trip through Node's thread pool costs several times
// the system call itself.

/** The types of files by the highest bits of their modes, see inode(7). */
const TYPES: Readonly<Record<number, FileType>> = {
  1: "fifo",
  2: "character",
  4: "directory",
  6: "block",
  8: "file",
  10: "link",
  12: "socket",
};

const CHUNK_BYTES = 1 << 16;

function describe(stats: fs.Stats): Stat {
  return {
    type: TYPES[stats.mode >> 12] ?? "file",
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    size: stats.size,
    mtimeMs: stats.mtimeMs,
    atimeMs: stats.atimeMs,
    ctimeMs: stats.ctimeMs,
    inode: stats.ino,
    device: stats.dev,
    links: stats.nlink,
    blocks: stats.blocks,
    blockSize: stats.blksize,
    rdev: stats.rdev,
  };
}

/** The system's own error code, such as `ENOENT`. */
export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ENOSPC: "no space left on the device",
  EDQUOT: "disk quota exceeded",
  EROFS: "the file system is read-only",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  ENOTEMPTY: "the directory is not empty",
  EEXIST: "it exists already",
  ETXTBSY: "the program is running",
  EBUSY: "it is in use",
  ERR_FS_FILE_TOO_LARGE: "it is larger than 2 GiB",
  ERR_STRING_TOO_LONG: "it is too large to be held",
};

/** Run a file operation. Its error names the path and says why in words. */
export function attempt<T>(what: string, path: string, operation: () => T): T {
  try {
    return operation();
  } catch (thrown) {
    const errno = errnoOf(thrown);
    if (errno === undefined || isVolleyError(thrown)) throw thrown;
    const protection = errno === "EPERM" ? protectionAt(path) : undefined;
    throw new VolleyError(
      "FILE_FAILED",
      `cannot ${what} ${path}: ${protection?.reason ?? REASONS[errno] ?? errno}`,
      { cause: thrown, ...protection },
    );
  }
}

function protectionAt(path: string): Protection | undefined {
  const [command, ...args] = attributesCommand(path);
  return protectionOf(path, spawnSync(command!, args, { encoding: "utf8" }).stdout ?? "");
}

/** Return the Stat of a path, or null for a path that does not exist. */
export function statOf(path: string, follow: boolean): Stat | null {
  return attempt("look at", path, () => {
    try {
      const stats = (follow ? fs.statSync : fs.lstatSync)(nativePath(path), { throwIfNoEntry: false });
      return stats === undefined ? null : describe(stats);
    } catch (thrown) {
      // A file stands where a directory of the path should be, so the path cannot exist.
      if (errnoOf(thrown) === "ENOTDIR") return null;
      throw thrown;
    }
  });
}

/** Read a file. */
export function readFile(path: string): Buffer {
  const descriptor = openToRead(path);
  try {
    return fs.readFileSync(descriptor);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Read a file, or return null when it does not exist. */
export function readIfExists(path: string): Buffer | null {
  return attempt("read", path, () => {
    try {
      return readFile(path);
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (errno === "ENOENT" || errno === "ENOTDIR") return null;
      throw thrown;
    }
  });
}

/** Return the hex digest of a file's content. */
export function checksumOf(path: string, algorithm: string): string {
  return attempt("read", path, () => {
    const hash = createHash(algorithm);
    const descriptor = openToRead(path);
    try {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      for (;;) {
        const count = fs.readSync(descriptor, chunk);
        if (count === 0) return hash.digest("hex");
        hash.update(chunk.subarray(0, count));
      }
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

/** Remove a path and everything below it. A path that does not exist is no error. */
export function removeAll(path: string): void {
  if (statOf(path, false) === null) return;
  const held = holdDirectory(path);
  try {
    const found = statOf(held.path, false);
    if (found === null) return;
    if (found.type !== "directory") return fs.unlinkSync(nativePath(held.path));
    if (held.path === path || !isUtf8(path))
      return fs.rmSync(nativePath(held.path), { recursive: true, force: true });
    // Node works by path, and would follow a link put in the place of a directory meanwhile; rm(1) does not.
    const { status, stderr, error } = spawnSync("rm", ["-rf", "--", `./${basename(path)}`], {
      cwd: dirname(held.path),
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C" },
    });
    if (error !== undefined) throw error;
    if (status !== 0) {
      const left = deniedBy(stderr.replaceAll("'./", `'${dirname(path)}/`));
      const protection = left === undefined ? undefined : protectionAt(left);
      const [at, why] =
        protection === undefined ? [path, stderr.trim().split(": ").at(-1)] : [left, protection.reason];
      throw new VolleyError("FILE_FAILED", `cannot remove ${at}: ${why}`, protection);
    }
  } finally {
    held.release();
  }
}

/** Copy one open file to another, and close the first. cp(1) keeps holes, and leaves this process free. */
async function copyAll(path: string, from: number, to: number): Promise<void> {
  const child = spawn("cp", ["/dev/fd/3", "/dev/fd/4"], {
    stdio: ["ignore", "ignore", "pipe", from, to],
    env: { ...process.env, LC_ALL: "C" },
  });
  fs.closeSync(from);
  let said = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    said += chunk;
  });
  const [code] = await once(child, "close");
  if (code === 0) return;
  const why = said.trim().split(": ").at(-1)?.toLowerCase();
  throw new VolleyError("FILE_FAILED", `cannot write ${path}: ${why}`);
}

async function writeContent(path: string, descriptor: number, content: Content): Promise<void> {
  if (typeof content === "string") fs.writeFileSync(descriptor, textToBytes(content));
  else if (content instanceof Uint8Array) fs.writeFileSync(descriptor, content);
  else if (isCopy(content))
    await copyAll(
      path,
      attempt("read", content.copyOf, () => openToRead(content.copyOf)),
      descriptor,
    );
  else for await (const chunk of content) fs.writeFileSync(descriptor, chunk);
}

/** Write a file to a temporary name beside it, then rename it into place. A file that is a mount point is written in place. */
export async function writeAtomically(
  path: string,
  content: Content,
  options: WriteOptions,
): Promise<Written> {
  let release = (): void => {};
  try {
    const held = holdDirectory(path);
    release = held.release;
    return await writeBeside(path, held.path, content, options);
  } catch (thrown) {
    return attempt("write", path, () => {
      throw thrown;
    });
  } finally {
    release();
  }
}

/** `place` is the path below the held directory. */
async function writeBeside(
  path: string,
  place: string,
  content: Content,
  options: WriteOptions,
): Promise<Written> {
  const before = statOf(place, false);
  const replaced = before?.type === "file" ? before : null;
  const temporary = nativePath(join(dirname(place), `.volley-${randomBytes(6).toString("hex")}`));
  const uid = options.uid ?? replaced?.uid ?? -1;
  const gid = options.gid ?? replaced?.gid ?? -1;
  const mode = options.mode ?? (replaced === null ? undefined : modeOfReplacement(replaced, uid, gid));
  const isGiven = options.uid !== undefined || options.gid !== undefined;
  /** Write the file itself if it cannot be replaced for that reason: a mount, or as the options say. */
  const inPlace = async (thrown: unknown, write: (to: number) => Promise<void>): Promise<Written> => {
    const errno = errnoOf(thrown);
    const isAllowed = errno === "EBUSY" || (options.inPlace && (errno === "EACCES" || errno === "EPERM"));
    if (replaced === null || !isAllowed) throw thrown;
    const { O_WRONLY, O_TRUNC, O_NOFOLLOW } = fs.constants;
    const to = fs.openSync(nativePath(place), O_WRONLY | O_TRUNC | O_NOFOLLOW);
    try {
      await write(to);
      if (isGiven) fs.fchownSync(to, options.uid ?? -1, options.gid ?? -1);
      if (options.mode !== undefined) fs.fchmodSync(to, options.mode);
    } finally {
      fs.closeSync(to);
    }
    return "in place";
  };
  let descriptor: number;
  try {
    // The file is unreadable for others at first: its content must not be visible before owner and mode are right.
    descriptor = fs.openSync(temporary, "wx", mode === undefined ? 0o666 : 0o600);
  } catch (thrown) {
    return inPlace(thrown, (to) => writeContent(path, to, content));
  }
  try {
    try {
      await writeContent(path, descriptor, content);
      let last = mode;
      const made = fs.fstatSync(descriptor);
      if ((uid !== -1 && uid !== made.uid) || (gid !== -1 && gid !== made.gid)) {
        try {
          fs.fchownSync(descriptor, uid, gid);
        } catch (thrown) {
          if (isGiven || errnoOf(thrown) !== "EPERM") throw thrown;
          last = options.mode ?? 0o600;
        }
      }
      if (replaced !== null) keepAcl(place, descriptor);
      if (last !== undefined) fs.fchmodSync(descriptor, last);
    } finally {
      fs.closeSync(descriptor);
    }
    try {
      fs.renameSync(temporary, nativePath(place));
      return "replaced";
    } catch (thrown) {
      return await inPlace(thrown, (to) => copyAll(path, fs.openSync(temporary, "r"), to));
    }
  } finally {
    fs.rmSync(temporary, { force: true });
  }
}

/** Give a file the ACL of the one it replaces, by acl(5)'s programs, if the host has them: Node cannot. */
function keepAcl(replaced: string, descriptor: number): void {
  const held = fs.openSync(nativePath(replaced), O_PATH | fs.constants.O_NOFOLLOW);
  try {
    const { stdout } = spawnSync("getfacl", ["-csnp", "/dev/fd/3"], {
      stdio: ["ignore", "pipe", "ignore", held],
    });
    if (stdout?.length > 0)
      spawnSync("setfacl", ["--set-file=-", "/dev/fd/3"], {
        input: stdout,
        stdio: ["pipe", "ignore", "ignore", descriptor],
      });
  } finally {
    fs.closeSync(held);
  }
}
