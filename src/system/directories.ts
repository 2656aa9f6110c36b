import * as nodeFs from "node:fs";
import { dirname } from "node:path";

/** The used part of `node:fs`, a parameter because a bundle's bootstrap must also load on a Node that is too old. */
type Files = Pick<typeof nodeFs, "existsSync" | "mkdirSync" | "statSync">;

/**
 * Make a directory and those above it, as far as they are missing. Node's own way of doing so never ends for a path in a
 * file system that takes no directories, such as /proc. Fails with the error of the system, and for such a path with one
 * whose message says so.
 *
 * @param mode The mode of all directories that are made. Default 0777. The umask applies.
 */
export function makeDirectories(directory: string, mode?: number): void {
  makeDirectoriesBy(nodeFs, directory, mode);
}

/** Make directories as {@link makeDirectories} does. */
export function makeDirectoriesBy(fs: Files, directory: string, mode = 0o777): void {
  try {
    fs.mkdirSync(directory, { mode });
  } catch (thrown) {
    if (isDirectory(fs, directory)) return;
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
    const parent = dirname(directory);
    if (fs.existsSync(parent)) {
      const error = new Error(`no directory can be made in ${parent}`);
      throw Object.assign(error, { code: "EOPNOTSUPP", cause: thrown });
    }
    makeDirectoriesBy(fs, parent, mode);
    makeDirectoriesBy(fs, directory, mode);
  }
}

function isDirectory(fs: Files, path: string): boolean {
  try {
    return fs.statSync(path).isDirectory();
  } catch (_missing) {
    return false;
  }
}
