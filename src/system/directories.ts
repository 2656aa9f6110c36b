import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Make a directory and those above it, as far as they are missing. Node's own way of doing so never ends for a path in a
 * file system that takes no directories, such as /proc. Fails with the error of the system, and for such a path with one
 * whose message says so.
 *
 * @param mode The mode of all directories that are made. Default 0777. The umask applies.
 */
export function makeDirectories(directory: string, mode = 0o777): void {
  if (isDirectory(directory)) return;
  try {
    mkdirSync(directory, { mode });
  } catch (thrown) {
    if (isDirectory(directory)) return;
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
    const parent = dirname(directory);
    if (existsSync(parent)) {
      const error = new Error(`no directory can be made in ${parent}`);
      throw Object.assign(error, { code: "EOPNOTSUPP", cause: thrown });
    }
    makeDirectories(parent, mode);
    makeDirectories(directory, mode);
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false;
  }
}
