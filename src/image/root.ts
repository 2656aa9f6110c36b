import * as fs from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { fileReason, writeReason } from "../core/unix/user-file.ts";
import { resolveBelow } from "../system/root-paths.ts";

/**
 * The root of a system that does not run, such as a mounted image. Paths are the system's own, and links are followed as
 * in it: none leads out of the root.
 */
export interface ImageRoot {
  /** The root's path on this machine. */
  readonly directory: string;
  /** The root's name in messages. */
  readonly name: string;
  /** Return the path on this machine of a file of the root, with its links resolved. */
  locate(path: string): string;
  exists(path: string): boolean;
  /** True for a regular file: whoever made the root may have put a FIFO or a device in its place. */
  isFile(path: string): boolean;
  /** Read a text; undefined where there is no such regular file. Fails with `USAGE`. */
  read(path: string): string | undefined;
  /** Read a file; undefined where there is no such regular file. Fails with `USAGE`. */
  readBytes(path: string): Buffer | undefined;
  /**
   * Write a file under a temporary name, and rename it once it is on the disk; a link in its place is replaced. Directories
   * above are made with mode 0755. Fails with `FILE_FAILED`.
   */
  write(path: string, content: string | Uint8Array, mode: number): Promise<void>;
  /** Make a directory, or give one its mode. Fails with `FILE_FAILED`. */
  makeDirectory(path: string, mode: number): void;
  /** Make a link under a temporary name, and rename it to the place of what is there. Fails with `FILE_FAILED`. */
  link(path: string, target: string): void;
  /** Remove a file, a link, or a directory with all that it has, if it is there. Fails with `FILE_FAILED`. */
  remove(path: string): void;
  /** Return the room of the file system that a path is on, or would be on. */
  room(path: string): Room;
  /** Return the names in a directory; none where there is no such directory. Fails with `USAGE`. */
  list(path: string): readonly string[];
}

/** The room of a file system. */
export interface Room {
  /** The number of the file system's device. */
  readonly device: number;
  /** Bytes that this account may still write; infinite where the file system does not tell. */
  readonly free: number;
}

/** Codes of errors that tell of a path without a file. */
const ABSENT = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

/** Tell whether a file of a root is there. */
function existsBelow(directory: string, path: string): boolean {
  try {
    return fs.existsSync(resolveBelow(directory, path));
  } catch {
    return false;
  }
}

/** Codes of errors of file systems that cannot put a directory on the disk by itself. */
const UNSYNCED = new Set(["EINVAL", "ENOTSUP"]);

/** Put the names of a directory on the disk: whatever is written later must not be there sooner. */
function syncDirectory(directory: string): void {
  const opened = fs.openSync(directory, "r");
  try {
    fs.fsyncSync(opened);
  } catch (thrown) {
    if (!UNSYNCED.has((thrown as NodeJS.ErrnoException).code ?? "")) throw thrown;
  } finally {
    fs.closeSync(opened);
  }
}

/** True for a directory that holds a system's root. */
export function isRoot(directory: string): boolean {
  const has = (path: string): boolean => existsBelow(directory, path);
  const hasInit = ["sbin/init", "usr/lib/systemd/systemd", "lib/systemd/systemd", "init"].some(has);
  return has("etc") && (hasInit || has("etc/os-release") || has("usr/lib/os-release"));
}

/**
 * Open a root. Fails with `USAGE` for a directory that is none.
 *
 * @param name The root's name in messages. Default: its directory.
 */
export function openRoot(given: string, name = given): ImageRoot {
  const directory = fs.realpathSync(resolve(given));
  const owner = fs.statSync(directory);
  if (!existsBelow(directory, "etc"))
    throw new VolleyError("USAGE", `${name} is no root of a system: it has no etc/`, {
      hint: "name the directory at which the root of the image is mounted, or a disk image",
    });
  /** Links in the directory are followed; the last name is none of them. */
  const place = (path: string): string => join(resolveBelow(directory, dirname(path)), basename(path));
  const changing = <Value>(path: string, change: () => Value): Value => {
    try {
      return change();
    } catch (thrown) {
      throw cannotChange(path, thrown);
    }
  };
  const cannotChange = (path: string, thrown: unknown): VolleyError =>
    new VolleyError("FILE_FAILED", `cannot write ${path} in ${name}: ${writeReason(thrown)}`, {
      cause: thrown,
    });
  const cannotRead = (path: string, thrown: unknown): VolleyError =>
    new VolleyError("USAGE", `cannot read ${path} in ${name}: ${fileReason(thrown)}`, {
      cause: thrown,
      ...(process.getuid?.() === 0 ? {} : { hint: "run this as root" }),
    });
  /** Files belong to the root's owner: where others prepare a root, that may be another account. */
  const own = (path: string): void => {
    if (process.getuid?.() === 0) fs.lchownSync(path, owner.uid, owner.gid);
  };
  /** Make a directory and those above it; `made` has no links. */
  const makeAll = (made: string): void => {
    if (fs.existsSync(made)) return;
    makeAll(dirname(made));
    fs.mkdirSync(made, { mode: 0o755 });
    own(made);
    syncDirectory(dirname(made));
  };
  const makeParents = (path: string): void => makeAll(resolveBelow(directory, dirname(path)));
  const locate = (path: string): string => resolveBelow(directory, path);
  const isFile = (path: string): boolean => {
    try {
      return fs.statSync(locate(path)).isFile();
    } catch (thrown) {
      if (ABSENT.has((thrown as NodeJS.ErrnoException).code ?? "")) return false;
      throw cannotRead(path, thrown);
    }
  };
  const readBytes = (path: string): Buffer | undefined => {
    if (!isFile(path)) return undefined;
    try {
      return fs.readFileSync(locate(path));
    } catch (thrown) {
      throw cannotRead(path, thrown);
    }
  };
  return {
    directory,
    name,
    locate,
    exists: (path) => existsBelow(directory, path),
    isFile,
    read: (path) => readBytes(path)?.toString("utf8"),
    readBytes,
    write: async (path, content, mode) => {
      changing(path, () => makeParents(path));
      const file = place(path);
      const temporary = `${file}.volley-new`;
      try {
        fs.rmSync(temporary, { force: true });
        await writeFile(temporary, content, { mode, flag: "wx", flush: true });
        fs.chmodSync(temporary, mode);
        own(temporary);
        fs.renameSync(temporary, file);
        syncDirectory(dirname(file));
      } catch (thrown) {
        fs.rmSync(temporary, { force: true });
        throw cannotChange(path, thrown);
      }
    },
    makeDirectory: (path, mode) =>
      changing(path, () => {
        makeParents(path);
        const made = locate(path);
        if (!fs.existsSync(made)) {
          fs.mkdirSync(made, { mode });
          own(made);
          syncDirectory(dirname(made));
        }
        fs.chmodSync(made, mode);
      }),
    link: (path, target) =>
      changing(path, () => {
        makeParents(path);
        const temporary = `${place(path)}.volley-new`;
        try {
          fs.rmSync(temporary, { force: true });
          fs.symlinkSync(target, temporary);
          own(temporary);
          fs.renameSync(temporary, place(path));
          syncDirectory(dirname(temporary));
        } catch (thrown) {
          fs.rmSync(temporary, { force: true });
          throw thrown;
        }
      }),
    remove: (path) => changing(path, () => fs.rmSync(place(path), { recursive: true, force: true })),
    room: (path) => {
      let there = locate(path);
      while (!fs.existsSync(there)) there = dirname(there);
      const { blocks, bsize, bfree, bavail } = fs.statfsSync(there);
      const free =
        blocks === 0 ? Number.POSITIVE_INFINITY : bsize * (process.getuid?.() === 0 ? bfree : bavail);
      return { device: fs.statSync(there).dev, free };
    },
    list: (path) => {
      try {
        return fs.readdirSync(locate(path));
      } catch (thrown) {
        if (ABSENT.has((thrown as NodeJS.ErrnoException).code ?? "")) return [];
        throw cannotRead(path, thrown);
      }
    },
  };
}
