import { posix } from "node:path";
import { isUtf8 } from "../../core/lossless-text.ts";

const MAX_NAME_BYTES = 255;
/** Why a name that a host gives is not written to this machine's disk; undefined when it may be. */
export function refusedName(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return "it is no name of a file";
  if (name.includes("/") || name.includes("\0")) return "it is no name of a file";
  if (/\p{Cc}/u.test(name)) return "there is a control character in its name";
  if (name.includes("\ufffd") || !isUtf8(name)) return "its name is not UTF-8";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return "its name is too long";
  return undefined;
}

/** A path below a directory; the directory itself for the empty one. */
export function below(directory: string, path: string): string {
  if (path === "") return directory;
  return directory.endsWith("/") ? `${directory}${path}` : `${directory}/${path}`;
}

/** Whether a link at `path`, relative to the tree's root, leads to somewhere in the tree. */
export function staysInside(path: string, target: string): boolean {
  if (target === "" || target.startsWith("/") || target.includes("\0")) return false;
  const led = posix.normalize(posix.join(posix.dirname(path), target));
  return led !== ".." && !led.startsWith("../");
}

/** The name of a host's own directory below the destination: one name, whatever the host is called. */
export function hostDirectoryName(host: string): string {
  return host.replace(/[/\\\p{Cc}]|^\.+$/gu, "_");
}
