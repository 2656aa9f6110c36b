import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { resolveForRoot } from "../../core/permissions.ts";
import type { ReadSystem } from "../../core/system.ts";

const MAX_LINKS = 40;

/** The directory a path is in; of `~/x` it is `~/`, which a System understands where `~` it does not. */
export function parentOf(path: string): string {
  const parent = posix.dirname(path);
  return parent === "~" ? "~/" : parent;
}

/** Where a link leads that is at `path` and says `target`; from `~/` it stays so. */
export function linkTarget(path: string, target: string): string {
  if (posix.isAbsolute(target)) return target;
  const directory = parentOf(path);
  return posix.isAbsolute(directory)
    ? posix.join(directory, target)
    : `${directory.replace(/\/$/, "")}/${target}`;
}

/**
 * Where a path leads once links are followed, also when nothing is there yet (as Python's realpath). Root follows a
 * link of another user only to what is that user's ({@link resolveForRoot}).
 */
export async function followLinks(system: ReadSystem, path: string): Promise<string> {
  let at = path;
  for (let count = 0; count < MAX_LINKS; count++) {
    if ((await system.lstat(at))?.type !== "link") {
      if (count > 0) await requireOwnLinks(system, path);
      return at;
    }
    at = linkTarget(at, await system.readLink(at));
  }
  throw new VolleyError("ACTION_FAILED", `${path} is a link that leads to itself`);
}

/** Fails with `FILE_FAILED` where root would follow another user's link to what is not that user's. */
export async function requireOwnLinks(system: ReadSystem, path: string): Promise<void> {
  if (system.uid !== 0 || !posix.isAbsolute(path)) return;
  const walk = resolveForRoot(path);
  for (let step = walk.next(); step.done !== true; ) {
    const stat = await system.lstat(step.value);
    const link = stat?.type === "link" ? { link: await system.readLink(step.value) } : {};
    step = walk.next(stat === null ? null : { uid: stat.uid, ...link });
  }
}

/** Those of a directory and the directories above it that do not exist, outermost first. Fails when one of them is not a directory. */
export async function missingDirectories(system: ReadSystem, directory: string): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let path = posix.normalize(directory).replace(/(?<=[^/])\/$/, ""); ; path = parentOf(path)) {
    const stat = await system.stat(path);
    if (stat !== null) {
      if (stat.type !== "directory")
        throw new VolleyError("ACTION_FAILED", `${path} is a ${stat.type}, not a directory`);
      return missing.reverse();
    }
    if (path === parentOf(path)) return missing.reverse();
    missing.push(path);
  }
}
