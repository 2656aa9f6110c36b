import { VolleyError } from "../errors.ts";
import type { Stat } from "../system.ts";

/** The bit of a mode that makes a program run as its owner. */
export const SET_UID = 0o4000;
/** The bit of a mode that makes a program run as its group, and new files of a directory belong to its group. */
export const SET_GID = 0o2000;
const GROUP_EXECUTE = 0o010;

/**
 * Return the permission bits that remain when an owner or group changes. A program must not become another user's
 * with setuid or setgid still set; directories keep both. A setgid bit without execution by the group is a mark for
 * mandatory locking. Behaves as chown(2) on Linux.
 */
export function modeAfterChown({ mode, type }: Pick<Stat, "mode" | "type">): number {
  if (type === "directory" || type === "link") return mode;
  return mode & ~(SET_UID | ((mode & GROUP_EXECUTE) === 0 ? 0 : SET_GID));
}

/** Return the permission bits of a file of `uid` and `gid` that takes the place of another file. */
export function modeOfReplacement(replaced: Stat, uid: number, gid: number): number {
  return uid === replaced.uid && gid === replaced.gid ? replaced.mode : modeAfterChown(replaced);
}

/** An attribute that keeps even root from changing a file, and the way out. */
export interface Protection {
  readonly reason: string;
  readonly hint: string;
}

/** Return the command that lists the attributes of a path and of its directory. */
export function attributesCommand(path: string): readonly string[] {
  return ["lsattr", "-d", "--", path, path.slice(0, path.lastIndexOf("/")) || "/"];
}

/** Return the immutable or append-only attribute in the output of {@link attributesCommand} for `path`. */
export function protectionOf(path: string, stdout: string): Protection | undefined {
  for (const line of stdout.split("\n")) {
    const [, attribute, at] = /^[^ia\s]*([ia])\S* +(\/.*)/.exec(line) ?? [];
    if (attribute === undefined || at === undefined) continue;
    const name = attribute === "i" ? "immutable" : "append-only";
    return {
      reason: `${at === path ? "it" : at} has the ${name} attribute`,
      hint: `take it away first: chattr -${attribute} ${at}`,
    };
  }
  return undefined;
}

/** Return the path that rm(1) was not permitted to remove, from its standard error. */
export function deniedBy(stderr: string): string | undefined {
  return /'(\/.*)': Operation not permitted$/m.exec(stderr)?.[1];
}

/** The owner of a path itself, and the target of a link. */
export interface Seen {
  readonly uid: number;
  readonly link?: string;
}

/** The number of symbolic links that are followed for one path, as on Linux: path_resolution(7). */
export const MAX_LINKS = 40;

/**
 * Resolve a path for root, who must not be led elsewhere by another user's links: a link of another user counts only
 * where its target belongs to that user, too. Yields each path to look at, takes what is there (null: nothing), and
 * returns the real path. For a path that does not exist, the nearest existing directory must be the user's.
 * Fails with `FILE_FAILED`.
 */
export function* resolveForRoot(path: string): Generator<string, string, Seen | null> {
  const left = path.split("/").filter(Boolean);
  let at = "";
  let owner = 0;
  let foreign: { readonly path: string; readonly uid: number } | undefined;
  for (let links = 0; left.length > 0; ) {
    const name = left.shift();
    if (name === ".") continue;
    if (name === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      owner = (yield at || "/")?.uid ?? 0;
      continue;
    }
    const next = `${at}/${name}`;
    const seen = yield next;
    if (seen?.link === undefined) {
      at = next;
      if (seen === null) {
        at = [next, ...left].join("/");
        break;
      }
      owner = seen.uid;
      continue;
    }
    if (++links > MAX_LINKS)
      throw new VolleyError("FILE_FAILED", `cannot resolve ${path}: too many symbolic links`);
    if (foreign !== undefined && foreign.uid !== seen.uid) throw refusal(foreign, next);
    if (seen.uid !== 0) foreign = { path: next, uid: seen.uid };
    left.unshift(...seen.link.split("/").filter(Boolean));
    if (seen.link.startsWith("/")) at = "";
  }
  if (foreign !== undefined && foreign.uid !== owner) throw refusal(foreign, at);
  return at || "/";
}

function refusal({ path, uid }: { readonly path: string; readonly uid: number }, to: string): VolleyError {
  return new VolleyError(
    "FILE_FAILED",
    `root does not follow ${path}: it is a link of the user with uid ${uid}, and ${to} is not that user's`,
    { hint: "name the path itself that is meant, remove the link, or become that user for the task" },
  );
}
