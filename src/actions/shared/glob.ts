import { posix } from "node:path";
import type { ReadSystem } from "../../core/system.ts";

const MAGIC = /[*?[]/;

/**
 * The first path a shell pattern (`*`, `?`, `[…]`; not `**`) matches, or null. A path without any is simply looked for.
 * A link is there even when it leads to nothing.
 */
export async function firstMatch(system: ReadSystem, pattern: string): Promise<string | null> {
  if (!MAGIC.test(pattern)) return (await system.lstat(pattern)) === null ? null : pattern;
  const [first = "", ...rest] = pattern.split("/");
  return matchBelow(system, first === "" ? "/" : `${first}/`, rest);
}

async function matchBelow(
  system: ReadSystem,
  directory: string,
  parts: readonly string[],
): Promise<string | null> {
  const [part, ...rest] = parts;
  if (part === undefined) return directory;
  if (!MAGIC.test(part)) {
    const next = posix.join(directory, part);
    return (await system.lstat(next)) === null ? null : matchBelow(system, next, rest);
  }
  if ((await system.stat(directory))?.type !== "directory") return null;
  const wanted = globExpression(part);
  for (const name of await system.list(directory)) {
    if (name.startsWith(".") && !part.startsWith(".")) continue;
    const found = wanted.test(name) ? await matchBelow(system, posix.join(directory, name), rest) : null;
    if (found !== null) return found;
  }
  return null;
}

/** A shell pattern for one name as a regular expression. */
export function globExpression(pattern: string): RegExp {
  const source = pattern.replace(
    /\[([!^]?)([^\]]+)\]|[\s\S]/g,
    (part, not: string | undefined, set: string | undefined) => {
      if (set !== undefined) return `[${not ? "^" : ""}${set.replace(/[\\^[]/g, "\\$&")}]`;
      if (part === "*") return "[^/]*";
      if (part === "?") return "[^/]";
      return part.replace(/[.+^${}()|[\]\\]/g, "\\$&");
    },
  );
  return new RegExp(`^${source}$`);
}
