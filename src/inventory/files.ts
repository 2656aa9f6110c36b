import { isAbsolute, relative } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { decodeUtf8 } from "../core/unix/user-file.ts";

/** Return the path to show people: relative to the working directory for a path below it, otherwise unchanged. */
export function displayPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  if (below === "") return ".";
  return below === ".." || below.startsWith("../") || isAbsolute(below) ? path : below;
}

/** Decode an inventory or vars file. Fail with `INVENTORY_INVALID` and the line for bytes that are not UTF-8. */
export function textOf(bytes: Uint8Array, file: string): string {
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return decoded.text;
  throw new VolleyError("INVENTORY_INVALID", "this is not UTF-8", {
    location: { file, line: decoded.line },
    hint: "write the file anew as UTF-8; from Latin-1: iconv -f latin1 -t utf8",
  });
}

/** Name the kind of a file that must not be read: nobody may write into a pipe, and a device may have no end. Undefined for a regular file and /dev/null. */
export function unreadableKind(stats: {
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  readonly rdev: number;
}): string | undefined {
  if (stats.isFile() || stats.rdev === NULL_DEVICE) return undefined;
  return stats.isFIFO() ? "a named pipe" : stats.isSocket() ? "a socket" : "a device";
}

/** The device number of /dev/null, to which people link a file that is to be empty. */
const NULL_DEVICE = 0x103;

/** Tell whether a file's name marks it as hidden, a backup, or an editor's. */
export function isLeftover(name: string): boolean {
  return /^[.#]|~$|\.(?:orig|bak|swp|retry|rej|pyc|pyo)$/.test(name);
}
