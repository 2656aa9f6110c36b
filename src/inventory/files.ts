import { isAbsolute, relative } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { decodeUtf8 } from "../core/text.ts";

/** A path as people are shown it: relative to the working directory where it lies below it, else as it is. */
export function displayPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  if (below === "") return ".";
  return below === ".." || below.startsWith("../") || isAbsolute(below) ? path : below;
}

/** Bytes of an inventory or vars file as text. Fails with `INVENTORY_INVALID` and the line where they are not UTF-8. */
export function textOf(bytes: Uint8Array, file: string): string {
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return decoded.text;
  throw new VolleyError("INVENTORY_INVALID", "this is not UTF-8", {
    location: { file, line: decoded.line },
    hint: "write the file anew as UTF-8; from Latin-1: iconv -f latin1 -t utf8",
  });
}

/** What a file is that is none to read: a pipe may have nobody to write into it, and a device no end. Undefined: a file, or the empty one. */
export function unreadableKind(stats: {
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  readonly rdev: number;
}): string | undefined {
  if (stats.isFile() || stats.rdev === NULL_DEVICE) return undefined;
  return stats.isFIFO() ? "a named pipe" : stats.isSocket() ? "a socket" : "a device";
}

/** /dev/null, which a link may lead to so that a file says nothing. */
const NULL_DEVICE = 0x103;
