import type * as NodeFs from "node:fs";

/** What is used of `node:fs`: given, because a bundle's first code must be understood by a Node that is too old for it. */
type Files = Pick<
  typeof NodeFs,
  | "closeSync"
  | "constants"
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

/** Files that only this account can have written. */
export interface OwnFiles {
  /** A file's content; undefined when there is none, or another account may have written it. */
  read(name: string): Buffer | undefined;
  /**
   * Writes atomically, with mode 0600, where only this account can write: elsewhere nothing is written. With `kept`
   * only that many of the directory's files are left, the newest.
   */
  write(name: string, content: string | Uint8Array, kept?: number): void;
}

/**
 * What is kept between two runs in a directory below `base`, such as code that was compiled: it is believed when it is
 * read, so both directories and each file must belong to who this process is, and be writable for nobody else. A link
 * is not followed. No newer syntax than esbuild makes older for the Node a bundle's first code may meet.
 */
export function openOwnFiles(fs: Files, base: string, below: string): OwnFiles {
  const directory = `${base}/${below}`;
  // A link may be written to by everybody.
  const isOwn = (stats: NodeFs.Stats): boolean =>
    stats.uid === process.geteuid?.() && (stats.mode & 0o22) === 0;
  const isOwnDirectory = (): boolean => [base, directory].every((path) => isOwn(fs.lstatSync(path)));
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
        fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
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
        // A full disk, or a home that may not be written to: the next run takes longer, that is all.
      }
    },
  };
}
