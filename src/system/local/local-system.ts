import * as fs from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { isCopy, type ProcessOptions, type ProcessResult, type System } from "../../core/system.ts";
import { bytesToText, nativePath } from "../../core/values/bytes.ts";
import { attempt, checksumOf, readFile, readIfExists, removeAll, statOf, writeAtomically } from "./files.ts";
import { runProcess } from "./process.ts";
import { inDirectory, itself, onItself, readLink, realPath } from "./root-paths.ts";

/** Options of a local System. */
export interface LocalSystemOptions {
  /** The directory that absolute paths are taken below: an image being built, or a test. Default `/`. */
  readonly root?: string;
  /** The directories that `which` searches; default PATH and the system's own. */
  readonly path?: string;
}

/** A System with temporary directories, which `close` removes. */
export interface ClosableSystem extends System {
  close(): void;
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Create the System of the machine that this process runs on. */
export function createLocalSystem(options: LocalSystemOptions = {}): ClosableSystem {
  const { root } = options;
  const at = (path: string): string => {
    const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
    if (!isAbsolute(full)) {
      throw new VolleyError("FILE_FAILED", `${path} is not an absolute path; write it from / or from ~/`);
    }
    return root === undefined ? full : join(root, full);
  };
  const searched = [...new Set(`${options.path ?? process.env.PATH ?? ""}:${SYSTEM_PATH}`.split(":"))].filter(
    isAbsolute,
  );
  const temporaryDirectories: string[] = [];
  const environment = { PATH: searched.join(":") };
  const run = (argv: readonly string[], processOptions: ProcessOptions = {}): Promise<ProcessResult> =>
    runProcess(argv, {
      ...processOptions,
      ...(processOptions.cwd === undefined ? {} : { cwd: at(processOptions.cwd) }),
      env: { ...environment, ...processOptions.env },
    });

  const changing = (what: string, path: string, change: (place: fs.PathLike) => void): void =>
    attempt(what, path, () => inDirectory(at(path), change));

  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    stat: async (path) => statOf(at(path), true),
    lstat: async (path) => statOf(at(path), false),
    readFile: async (path) => attempt("read", path, () => readFile(at(path))),
    readText: async (path) => attempt("read", path, () => readFile(at(path)).toString("utf8")),
    readIfExists: async (path) => readIfExists(at(path)),
    checksum: async (path, algorithm) => checksumOf(at(path), algorithm),
    list: async (path) =>
      attempt("list", path, () =>
        fs
          .readdirSync(nativePath(at(path)), { encoding: "buffer" })
          .map(bytesToText)
          .sort(),
      ),
    readLink: async (path) => attempt("read the link", path, () => readLink(at(path))),
    realPath: async (path) =>
      attempt("resolve", path, () => {
        const real = realPath(at(path));
        return root === undefined ? real : real.slice(fs.realpathSync(root).length) || "/";
      }),
    workingDirectory: async () => process.cwd(),
    which: async (command) => findCommand(command, searched),
    query: run,
    writeFile: (path, content, writeOptions = {}) =>
      writeAtomically(at(path), isCopy(content) ? { copyOf: at(content.copyOf) } : content, writeOptions),
    makeDirectory: async (path, mode) =>
      changing("make the directory", path, (place) => {
        fs.mkdirSync(place, mode === undefined ? {} : { mode: mode & 0o700 });
        // The umask cuts mkdir's mode, and mkdir cannot set setgid.
        if (mode !== undefined) itself(place, path, (made) => fs.chmodSync(made, mode));
      }),
    chmod: async (path, mode) =>
      attempt("change the mode of", path, () => onItself(at(path), (found) => fs.chmodSync(found, mode))),
    chown: async (path, uid, gid) =>
      changing("change the owner of", path, (place) => fs.lchownSync(place, uid, gid)),
    symlink: async (target, path) =>
      changing("make the link", path, (place) => fs.symlinkSync(nativePath(target), place)),
    link: async (existing, path) =>
      changing("make the link", path, (place) =>
        inDirectory(at(existing), (source) => fs.linkSync(source, place)),
      ),
    rename: async (from, to) =>
      changing("rename to", to, (place) => inDirectory(at(from), (source) => fs.renameSync(source, place))),
    remove: async (path) => attempt("remove", path, () => removeAll(at(path))),
    setTimes: async (path, atimeMs, mtimeMs) =>
      attempt("set the times of", path, () =>
        onItself(at(path), (found) => fs.utimesSync(found, atimeMs / 1000, mtimeMs / 1000)),
      ),
    temporaryDirectory: async () => {
      // Not in the world-writable /tmp, where another user could have planted the name.
      const parent = at(`${root === undefined ? homedir() : ""}/.cache/volley/tmp`);
      const made = attempt("make a directory in", parent, () => {
        fs.mkdirSync(parent, { recursive: true, mode: 0o700 });
        return fs.mkdtempSync(join(parent, "run-"));
      });
      temporaryDirectories.push(made);
      return root === undefined ? made : made.slice(root.length);
    },
    run,
    close: () => {
      for (const directory of temporaryDirectories.splice(0))
        fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

function findCommand(command: string, directories: readonly string[]): string | null {
  const candidates = command.includes("/")
    ? [command]
    : directories.map((directory) => join(directory, command));
  for (const candidate of candidates) {
    try {
      fs.accessSync(candidate, fs.constants.X_OK);
      if (fs.statSync(candidate).isFile()) return candidate;
    } catch {
      // Try the next directory.
    }
  }
  return null;
}
