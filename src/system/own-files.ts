import type * as NodeFs from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

// Volley's own directories, and files in them that are believed.

/** The cache of this user on the controller: `$XDG_CACHE_HOME/volley`, default `~/.cache/volley`. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(absolute(env.XDG_CACHE_HOME) ?? join(env.HOME || homedir(), ".cache"), "volley");
}

/** The state of this user on the controller: `$XDG_STATE_HOME/volley`, default `~/.local/state/volley`. */
export function stateDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(absolute(env.XDG_STATE_HOME) ?? join(env.HOME || homedir(), ".local", "state"), "volley");
}

/** The configuration of this user on the controller: `$XDG_CONFIG_HOME/volley`, default `~/.config/volley`. */
export function configDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(absolute(env.XDG_CONFIG_HOME) ?? join(env.HOME || homedir(), ".config"), "volley");
}

/** Return an absolute path; undefined for another one, which the XDG Base Directory Specification has programs ignore. */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** The directory of bundles, locks and journals on a host: `~/.cache/volley` of the user that the agent runs as. */
export function hostDirectory(): string {
  return join(process.env.HOME || homedir(), ".cache", "volley");
}

/** The used part of `node:fs`, a parameter because a bundle's bootstrap must also load on a Node that is too old. */
type Files = Pick<
  typeof NodeFs,
  | "closeSync"
  | "constants"
  | "existsSync"
  | "fstatSync"
  | "lstatSync"
  | "mkdirSync"
  | "openSync"
  | "readdirSync"
  | "readFileSync"
  | "renameSync"
  | "unlinkSync"
  | "writeFileSync"
>;

/** Files of one directory that only this account can have written. */
interface OwnFiles {
  /** Read a file; undefined for one that is missing, or that another account may have written. */
  read(name: string): Buffer | undefined;
  /**
   * Write atomically, with mode 0600, unless another account can write to the directory. With `kept` remove all but that
   * many of the directory's newest files. This never fails.
   */
  write(name: string, content: string | Uint8Array, kept?: number): void;
}

/**
 * Return whether a file belongs to this process's user and is writable for nobody else. False for a link, whose mode is
 * writable for everybody.
 */
export function isOwn(stats: Pick<NodeFs.Stats, "uid" | "mode">): boolean {
  return stats.uid === process.geteuid?.() && (stats.mode & 0o22) === 0;
}

/**
 * Open a directory below `base` for files that are trusted when they are read, such as compiled code. Both directories
 * and each file must belong to this process's user and be writable for nobody else. Links are not followed. The syntax
 * must be one that esbuild can lower for the oldest Node that a bootstrap may meet.
 */
export function openOwnFiles(fs: Files, base: string, below: string): OwnFiles {
  const directory = `${base}/${below}`;
  const isOwnDirectory = (): boolean => [base, directory].every((path) => isOwn(fs.lstatSync(path)));
  const make = (path: string): void => {
    if (fs.existsSync(path)) return;
    make(dirname(path));
    fs.mkdirSync(path, { mode: 0o700 });
  };
  return {
    read: (name) => {
      let opened: number | undefined;
      try {
        if (!isOwnDirectory()) return undefined;
        const flags = fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;
        opened = fs.openSync(`${directory}/${name}`, flags);
        const stats = fs.fstatSync(opened);
        return stats.isFile() && isOwn(stats) ? fs.readFileSync(opened) : undefined;
      } catch (_none) {
        return undefined;
      } finally {
        if (opened !== undefined) fs.closeSync(opened);
      }
    },
    write: (name, content, kept) => {
      const temporary = `${directory}/${name}.${process.pid}`;
      try {
        make(directory);
        if (!isOwnDirectory()) return;
        fs.writeFileSync(temporary, content, { mode: 0o600, flag: "wx" });
        try {
          fs.renameSync(temporary, `${directory}/${name}`);
        } catch (thrown) {
          fs.unlinkSync(temporary);
          throw thrown;
        }
        if (kept === undefined) return;
        fs.readdirSync(directory)
          .map((file) => `${directory}/${file}`)
          .map((path) => ({ path, time: fs.lstatSync(path).mtimeMs }))
          .sort((one, other) => other.time - one.time)
          .slice(kept)
          .forEach((old) => {
            fs.unlinkSync(old.path);
          });
      } catch (_full) {
        // A full disk, or a read-only home, only makes the next run take longer.
      }
    },
  };
}
