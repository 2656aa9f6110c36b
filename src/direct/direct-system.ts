import { createHash, randomBytes } from "node:crypto";
import { posix } from "node:path";
import { VolleyError } from "../core/errors.ts";
import {
  isCopy,
  type ProcessOptions,
  type ProcessResult,
  type Stat,
  type System,
  type Written,
} from "../core/system.ts";
import { deniedBy, resolveForRoot } from "../core/unix/permissions.ts";
import { type FileAttributes, STATUS } from "../transport/sftp/codec.ts";
import { sftpStatus } from "../transport/sftp/requests.ts";
import type { Connection, FileSession } from "../transport/transport.ts";
import {
  AS_IT_IS,
  readPieces,
  readWhole,
  resolveWrite,
  SHELL_WRITE_BYTES,
  SLOW_ROUND_TRIP_MS,
  writeAtomically,
  writeByShell,
} from "./contents.ts";
import { attempt, createLooks, exactStat, isMissing, protectionAt, type Witness } from "./looks.ts";
import { runRemotely } from "./process.ts";
import { type HostUser, type Shells, searchPath } from "./shell.ts";

/** The parts of a System over a connection. */
export interface DirectSystemOptions {
  readonly files: FileSession;
  readonly shells: Shells;
  readonly user: HostUser;
  readonly forward: Connection["forward"];
  /** Directory that all absolute paths are below, except those of commands: for tests. Default: `/`. */
  readonly root?: string;
}

/** The System of a host, over a connection. */
export interface DirectSystem extends System {
  readonly user: HostUser;
  /** Forget earlier looks at the host. */
  forget(): void;
  /** Remove temporary directories, and end shells and file session. */
  close(): Promise<void>;
}

const SUMS: ReadonlySet<string> = new Set(["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]);

/** Make the System of a host: files over SFTP, processes by a shell there. */
export function createDirectSystem({
  files,
  shells,
  user,
  forward,
  root = "",
}: DirectSystemOptions): DirectSystem {
  const looks = createLooks(files, user.uid === 0);
  const temporaryDirectories: string[] = [];
  const commands = new Map<string, string>();
  /** The host has no getfacl. */
  let hasNoAcls = false;
  const at = (path: string): string => {
    if (path.startsWith("~/")) return posix.join(root, user.home, path.slice(2));
    if (!posix.isAbsolute(path))
      throw new VolleyError("FILE_FAILED", `${path} is not an absolute path; write it from / or from ~/`);
    return root === "" ? path : posix.join(root, path);
  };
  const home = { directory: user.directory, path: searchPath(user), at };
  const run = async (argv: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> => {
    looks.forget();
    try {
      return await runRemotely(shells, home, argv, options);
    } finally {
      looks.forget();
    }
  };
  /** Run a command that changes nothing, with paths as the host has them. */
  const askWith = (argv: readonly string[], options: ProcessOptions): Promise<ProcessResult> =>
    runRemotely(shells, home, argv, options);
  const ask = (argv: readonly string[]): Promise<ProcessResult> => askWith(argv, {});
  const host: Witness = { files, ask };
  const resolveAsRoot = async (full: string): Promise<string> => {
    const walk = resolveForRoot(full);
    let step = walk.next();
    while (step.done !== true) {
      const stat = await looks.lstat(step.value);
      const link = stat?.type === "link" ? { link: await files.readLink(step.value) } : {};
      step = walk.next(stat === null ? null : { uid: stat.uid, ...link });
    }
    return step.value;
  };
  /**
   * Keep root from following links of other users in the directories above a path. Where others than root can exchange
   * these directories, an earlier look does not count. Returns whether only root can.
   */
  const guard = async (full: string): Promise<boolean> => {
    if (user.uid !== 0) return true;
    const isAlone = (one: Stat | null): boolean => one === null || isRootsAlone(one);
    let above = await looks.above(full);
    if (!above.every(isAlone)) {
      looks.forget();
      above = await looks.above(full);
    }
    if (above.some((one) => one?.type === "link")) await resolveAsRoot(posix.dirname(full));
    return above.every(isAlone);
  };
  /** Guard a path to read, as {@link guard} does; a link at its end counts as well. */
  const guardReading = async (full: string): Promise<void> => {
    if (user.uid !== 0) return;
    const [stat] = await Promise.all([looks.lstat(full), guard(full)]);
    if (stat?.type === "link") await resolveAsRoot(full);
  };
  const aclOf = async (full: string): Promise<string> => {
    if (hasNoAcls) return "";
    const { code, stdout } = await ask(["sh", "-c", '[ -L "$1" ] || exec getfacl -csnp "$1"', "sh", full]);
    hasNoAcls = code === 127;
    return code === 0 ? stdout : "";
  };
  /** Set attributes of a path that is no link; as root, make sure of that. */
  const setItself = async (full: string, attributes: FileAttributes): Promise<void> => {
    if (user.uid !== 0) return files.setstat(full, attributes);
    try {
      await files.lsetstat(full, attributes);
    } catch {
      // Not every server can, nor every C library below it.
      if ((await looks.lstat(full))?.type === "link")
        throw new VolleyError("FILE_FAILED", `${full} is a link; it was left alone`);
      await files.setstat(full, attributes);
    }
  };
  const reading = async <T>(
    what: string,
    path: string,
    operation: (full: string) => Promise<T>,
  ): Promise<T> => {
    const full = at(path);
    try {
      return await attempt(host, what, full, () => operation(full));
    } finally {
      looks.touch();
    }
  };
  const changing = async <T>(
    what: string,
    path: string,
    operation: (full: string, isGuarded: boolean) => Promise<T>,
  ): Promise<T> => {
    const full = at(path);
    const isGuarded = await attempt(host, what, full, () => guard(full));
    looks.forget();
    try {
      return await attempt(host, what, full, () => operation(full, isGuarded));
    } finally {
      looks.forget();
    }
  };
  const look = async (path: string, follow: boolean, exact = false): Promise<Stat | null> => {
    const full = at(path);
    const [found, better] = await Promise.all([
      attempt(host, "look at", full, () => (follow ? looks.stat(full) : looks.lstat(full))),
      exact ? exactStat(ask, full, follow) : undefined,
    ]);
    return found === null ? null : (better ?? found);
  };
  const sizeOf = (full: string): number | undefined => {
    const known = looks.known(full);
    // A file that claims to be empty may be the kernel's.
    return known?.type === "file" && known.size > 0 ? known.size : undefined;
  };
  const readGuarded = async (full: string): Promise<Buffer> => {
    if (looks.known(full)?.type === "fifo")
      throw new VolleyError("FILE_FAILED", `cannot read ${full}: it is a fifo`);
    const [bytes] = await Promise.all([readWhole(files, full, sizeOf(full)), guardReading(full)]);
    return bytes;
  };
  const readFile = (path: string): Promise<Buffer> => reading("read", path, readGuarded);

  return {
    user,
    uid: user.uid,
    gid: user.gid,
    stat: (path, exact) => look(path, true, exact),
    lstat: (path, exact) => look(path, false, exact),
    readFile,
    readText: async (path) => (await readFile(path)).toString("utf8"),
    readIfExists: (path) =>
      reading("read", path, async (full) => {
        try {
          return await readGuarded(full);
        } catch (thrown) {
          if (isMissing(thrown)) return null;
          throw thrown;
        }
      }),
    checksum: async (path, algorithm) => {
      const full = at(path);
      await guardReading(full);
      const sum = SUMS.has(algorithm)
        ? await ask([`${algorithm}sum`, full]).catch(() => undefined)
        : undefined;
      const hex = sum?.code === 0 ? /^\\?([0-9a-f]{32,})\s/.exec(sum.stdout)?.[1] : undefined;
      return hex ?? hashOf(host, full, algorithm);
    },
    list: (path) =>
      reading("list", path, async (full) => (await files.list(full)).map(({ name }) => name).sort()),
    readLink: (path) => reading("read the link", path, (full) => files.readLink(full)),
    realPath: (path) =>
      reading("resolve", path, async (full) => {
        const [real, found, base] = await Promise.all([
          files.realPath(full),
          files.stat(full),
          root === "" ? "" : files.realPath(root),
        ]);
        if (found === null)
          throw new VolleyError("FILE_FAILED", `cannot resolve ${path}: no such file or directory`);
        if (user.uid === 0 && real !== full) await resolveAsRoot(full);
        return real.slice(base.length) || "/";
      }),
    workingDirectory: async () => user.directory,
    which: async (command) => {
      const known = commands.get(command);
      if (known !== undefined) return known;
      const found = await findCommand(ask, command, home.path);
      if (found !== null) commands.set(command, found);
      return found;
    },
    dial: async (host, port) => {
      if (forward === undefined) {
        throw new VolleyError(
          "ACTION_FAILED",
          "a port cannot be looked at from the host over OpenSSH's ssh without a bundle",
          {
            hint: "use --via bundle, or --transport ssh2",
          },
        );
      }
      try {
        return await forward(host, port);
      } catch (thrown) {
        if (!/prohibited/i.test(String(thrown))) throw thrown;
        throw new VolleyError("ACTION_FAILED", "the host's sshd lets nobody connect to ports through it", {
          cause: thrown,
          hint: "its sshd_config needs AllowTcpForwarding local; or use --via bundle",
        });
      }
    },
    pipe: async (argv, stream, options = {}) => {
      looks.forget();
      try {
        return await runRemotely(shells, home, argv, { ...options, stream });
      } finally {
        looks.forget();
      }
    },
    query: run,
    run,
    writeFile: (path, content, options = {}) => {
      const known = looks.known(at(path));
      return changing<Written>("write", path, async (full, isGuarded) => {
        if (isCopy(content)) await guardReading(at(content.copyOf));
        const request = { ...options, path: full, umask: user.umask };
        const isSmall =
          (typeof content === "string" || content instanceof Uint8Array) &&
          content.length <= SHELL_WRITE_BYTES;
        if (isSmall && known !== undefined && looks.roundTripMs >= SLOW_ROUND_TRIP_MS) {
          if (await writeByShell(askWith, resolveWrite(request, known), content, isGuarded))
            return "replaced";
        }
        return writeAtomically(files, {
          ...request,
          content: isCopy(content) ? { copyOf: at(content.copyOf) } : content,
          known,
          lstat: looks.lstat,
          shell: (script, args, input = "") =>
            orFail(askWith(["sh", "-c", script, "sh", ...args], { input }), "write", full),
          acl: async () => (isGuarded ? await aclOf(full) : ""),
        });
      });
    },
    makeDirectory: (path, mode) => {
      const isFree = looks.known(at(path)) === null;
      return changing("make the directory", path, async (full) => {
        const made = files.makeDirectory(full, mode === undefined ? {} : { mode: mode & 0o700 });
        // The mode is sent along only for a free path: any other file there must not be touched.
        if (!isFree) await made;
        // mkdir's mode is subject to the umask and cannot carry setgid.
        const permitted = mode === undefined ? undefined : files.setstat(full, { mode });
        await Promise.all([made, permitted]);
      });
    },
    chmod: (path, mode) => changing("change the mode of", path, (full) => setItself(full, { mode })),
    chown: (path, uid, gid) =>
      changing("change the owner of", path, async (full) => {
        const owner = { uid: uid === -1 ? AS_IT_IS : uid, gid: gid === -1 ? AS_IT_IS : gid };
        try {
          await files.lsetstat(full, owner);
        } catch (thrown) {
          if (sftpStatus(thrown) !== STATUS.unsupported) throw thrown;
          const name = `${uid === -1 ? "" : uid}${gid === -1 ? "" : `:${gid}`}`;
          if (name !== "") await orFail(ask(["chown", "-h", name, full]), "change the owner of", full);
        }
      }),
    symlink: (target, path) => changing("make the link", path, (full) => files.symlink(target, full)),
    link: (existing, path) =>
      changing("make the link", path, async (full) => {
        await guard(at(existing));
        await files.link(at(existing), full);
      }),
    rename: (from, to) =>
      changing("rename to", to, async (full) => {
        await guard(at(from));
        await files.rename(at(from), full);
      }),
    remove: (path) =>
      changing("remove", path, async (full) => {
        const found = await looks.lstat(full);
        if (found === null) return;
        if (found.type === "directory") return removeTree(ask, full);
        await files.remove(full).catch((thrown: unknown) => {
          if (!isMissing(thrown)) throw thrown;
        });
      }),
    setTimes: (path, atimeMs, mtimeMs) =>
      changing("set the times of", path, (full) =>
        setItself(full, { atime: Math.floor(atimeMs / 1000), mtime: Math.floor(mtimeMs / 1000) }),
      ),
    temporaryDirectory: async () => {
      // Not the world-writable /tmp, where another user could have planted the name.
      const parent = posix.join(root, root === "" ? user.home : "", ".cache/volley/tmp");
      const made = `${parent}/run-${randomBytes(6).toString("hex")}`;
      const script = 'umask 077; mkdir -p "$1" && mkdir "$2"';
      await orFail(ask(["sh", "-c", script, "sh", parent, made]), "make a directory in", parent);
      temporaryDirectories.push(made);
      return made.slice(root.length);
    },
    forget: looks.forget,
    close: async () => {
      const left = temporaryDirectories.splice(0);
      if (left.length > 0) await ask(["rm", "-rf", ...left]).catch(() => {});
      shells.close();
      files.close();
    },
  };
}

/** Return whether only root can exchange the entries of a directory. */
function isRootsAlone({ type, uid, mode }: Stat): boolean {
  return type === "directory" && uid === 0 && ((mode & 0o022) === 0 || (mode & 0o1000) !== 0);
}

async function orFail(asking: Promise<ProcessResult>, what: string, path: string): Promise<void> {
  const { code, stderr } = await asking;
  if (code === 0) return;
  const why = stderr.trim().split("\n").at(-1)?.split(": ").at(-1)?.toLowerCase() || `exit code ${code}`;
  throw new VolleyError("FILE_FAILED", `cannot ${what} ${path}: ${why}`);
}

async function removeTree(ask: Witness["ask"], path: string): Promise<void> {
  const removing = ask(["rm", "-rf", path]);
  const left = deniedBy((await removing).stderr);
  const protection = left === undefined ? undefined : await protectionAt(ask, left);
  if (protection === undefined) return orFail(removing, "remove", path);
  throw new VolleyError("FILE_FAILED", `cannot remove ${left}: ${protection.reason}`, {
    hint: protection.hint,
  });
}

async function hashOf(host: Witness, path: string, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  return attempt(host, "read", path, async () => {
    for await (const piece of readPieces(host.files, path, undefined)) hash.update(piece);
    return hash.digest("hex");
  });
}

async function findCommand(
  ask: (argv: readonly string[]) => Promise<ProcessResult>,
  command: string,
  path: string,
): Promise<string | null> {
  const script = 'for f; do if [ -f "$f" ] && [ -x "$f" ]; then echo "$f"; exit; fi; done';
  const candidates = command.includes("/")
    ? [command]
    : path.split(":").map((directory) => `${directory}/${command}`);
  const { stdout } = await ask(["sh", "-c", script, "sh", ...candidates]);
  return stdout.split("\n")[0] || null;
}
