import { lstatSync } from "node:fs";
import { posix } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { ImageRoot } from "./root.ts";

// The file systems that a machine mounts at its boot over directories of its root, as fstab(5) lists them.

/** A line of /etc/fstab. */
export interface FstabEntry {
  /** The directory that the file system is mounted at. */
  readonly directory: string;
  readonly kind: string;
  /** Name and value of each option; the value is empty where there is none. */
  readonly options: ReadonlyMap<string, string>;
}

/** Read the lines of /etc/fstab that tell of directories. */
export function readFstab(text: string): readonly FstabEntry[] {
  return text.split("\n").flatMap((line) => {
    const [device = "#", directory = "", kind = "", options = ""] = line.trim().split(/\s+/).map(unescaped);
    if (device.startsWith("#") || !directory.startsWith("/")) return [];
    const pairs = options.split(",").map((option): [string, string] => {
      const [name = "", ...value] = option.split("=");
      return [name, value.join("=")];
    });
    return [{ directory: posix.normalize(directory).replace(/(.)\/$/, "$1"), kind, options: new Map(pairs) }];
  });
}

/** fstab(5) has octal numbers in place of blanks. */
function unescaped(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/**
 * Refuse a path of a root below a directory at which the machine mounts another file system, unless that is mounted in
 * the root already: the machine would not see the file. Fails with `USAGE`.
 *
 * @param name The root's name in messages.
 */
export function refuseHidden(root: ImageRoot, name: string, path: string): void {
  const hiding = readFstab(root.read("/etc/fstab") ?? "")
    .filter(({ options }) => !options.has("noauto"))
    .map(({ directory }) => directory)
    .filter((directory) => directory !== "/" && `${path}/`.startsWith(`${directory}/`))
    .find((directory) => !isMountedIn(root, directory));
  if (hiding === undefined) return;
  throw new VolleyError("USAGE", `${name} mounts another file system at ${hiding}, which hides ${path}`, {
    hint: `mount the root, and in it that of ${hiding}, and name the directory`,
  });
}

function isMountedIn(root: ImageRoot, directory: string): boolean {
  const deviceOf = (path: string): number | undefined =>
    lstatSync(root.locate(path), { throwIfNoEntry: false })?.dev;
  const device = deviceOf(directory);
  return device !== undefined && device !== deviceOf(posix.dirname(directory));
}
