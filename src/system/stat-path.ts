import { type Stats, statSync } from "node:fs";

/** Errors of paths that lead to nothing: a link to itself, a path below a file, and one longer than a name can be. */
const NOTHING = ["ELOOP", "ENOTDIR", "ENAMETOOLONG"];

/** Return what a path leads to; nothing for what is missing, for a link that leads nowhere, and for what is no path. */
export function statPath(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (thrown) {
    if (NOTHING.includes((thrown as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw thrown;
  }
}
