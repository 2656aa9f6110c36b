import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { MAX_LINKS, resolveForRoot } from "../../core/unix/permissions.ts";
import { findAccount } from "../accounts/accounts.ts";

/** Return the directory of a path; `~/` for `~/x`, because a System does not take `~`. */
export function parentOf(path: string): string {
  const parent = posix.dirname(path);
  return parent === "~" ? "~/" : parent;
}

/** Return a path as Ansible reads it: variables of the environment, `~` and `~user` at its start are replaced. */
export async function expandPath(
  system: ReadSystem,
  path: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<string> {
  const named = expandVariables(path, environment);
  const [start, user] = /^~([^/]*)/.exec(named) ?? [];
  if (start === undefined) return named;
  const home = user === "" ? await homeOf(system) : (await findAccount(system, user!))?.home;
  return home === undefined ? named : home.replace(/\/$/, "") + named.slice(start.length);
}

/** Expand a path ({@link expandPath}); a relative one begins in the working directory, as Ansible's modules have it. */
export async function fullPath(
  system: ReadSystem,
  path: string,
  environment?: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const expanded = await expandPath(system, path, environment);
  return /^(~?\/|~$)/.test(expanded) ? expanded : posix.join(await system.workingDirectory(), expanded);
}

/** Return parameters with the named ones as {@link fullPath} has them: for paths that programs get as arguments. */
export async function withFullPaths<G extends object>(
  given: G,
  names: readonly (keyof G)[],
  system: ReadSystem,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<G> {
  const paths: { [name in keyof G]?: unknown } = {};
  for (const name of names) {
    const path = given[name];
    if (typeof path === "string" && path !== "") paths[name] = await fullPath(system, path, environment);
  }
  return { ...given, ...paths };
}

/** Replace `$NAME` and `${NAME}` by variables of an environment; unknown ones stay. */
export function expandVariables(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(
    /\$(?:(\w+)|\{([^}]*)\})/g,
    (all, name: string | undefined, braced: string) => environment[name ?? braced] ?? all,
  );
}

async function homeOf(system: ReadSystem): Promise<string | undefined> {
  return (await system.stat("~/")) === null ? undefined : system.realPath("~/");
}

/** Resolve the target of a link at `path`; the result of a path below `~/` is below `~/` too. */
export function linkTarget(path: string, target: string): string {
  if (posix.isAbsolute(target)) return target;
  const directory = parentOf(path);
  return posix.isAbsolute(directory)
    ? posix.join(directory, target)
    : `${directory.replace(/\/$/, "")}/${target}`;
}

/**
 * Follow the links at a path, also to a missing target (as Python's realpath). Root follows another user's link only to
 * a target that the same user owns ({@link resolveForRoot}).
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

/** Fail with `FILE_FAILED` when root would follow another user's link to a target that the same user does not own. */
export async function requireOwnLinks(system: ReadSystem, path: string): Promise<void> {
  if (system.uid !== 0 || !posix.isAbsolute(path)) return;
  const walk = resolveForRoot(path);
  for (let step = walk.next(); step.done !== true; ) {
    const stat = await system.lstat(step.value);
    const link = stat?.type === "link" ? { link: await system.readLink(step.value) } : {};
    step = walk.next(stat === null ? null : { uid: stat.uid, ...link });
  }
}

/** List a directory and its parents that do not exist, outermost first. Fails when one of them is not a directory. */
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

/** Return the file of `dest`: `name` is added when it ends with `/` or is a directory, as in Ansible's copy and template. */
export async function destinationFile(system: ReadSystem, dest: string, name: string): Promise<string> {
  if (!dest.endsWith("/") && (await system.stat(dest))?.type !== "directory") return dest;
  if (name === "")
    throw new VolleyError("ACTION_FAILED", `${dest} is a directory; name the file the content goes to`);
  return posix.join(dest, name);
}

const MAGIC = /[*?[]/;

/**
 * Return the first path that a shell pattern (`*`, `?`, `[…]`; not `**`) matches, or null. A path without these signs
 * matches itself. A broken link matches too.
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

/** Translate a shell pattern for one name into a regular expression. */
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
