import { type Stats, statSync } from "node:fs";

/** Return what a path leads to; nothing for what is missing, and for a link that leads nowhere or to itself. */
export function statPath(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ELOOP") return undefined;
    throw thrown;
  }
}
