import { VolleyError } from "./errors.ts";
import type { Stat } from "./system.ts";

const SET_UID = 0o4000;
const SET_GID = 0o2000;
const GROUP_EXECUTE = 0o010;

/**
 * The permission bits that something keeps when its owner or group changes. A program must not become another user's
 * with setuid or setgid still set; directories keep both. A setgid bit without execution by the group is a mark for
 * mandatory locking. Behaves as chown(2) on Linux.
 */
export function modeAfterChown({ mode, type }: Pick<Stat, "mode" | "type">): number {
  if (type === "directory" || type === "link") return mode;
  return mode & ~(SET_UID | ((mode & GROUP_EXECUTE) === 0 ? 0 : SET_GID));
}

/** The permission bits of a file that takes another one's place and belongs to `uid` and `gid`. */
export function modeOfReplacement(replaced: Stat, uid: number, gid: number): number {
  return uid === replaced.uid && gid === replaced.gid ? replaced.mode : modeAfterChown(replaced);
}

/** What keeps even root from changing a file, and what to do about it. */
export interface Protection {
  readonly reason: string;
  readonly hint: string;
}

/** The command that tells attributes of a path and of the directory it is in. */
export function attributesCommand(path: string): readonly string[] {
  return ["lsattr", "-d", "--", path, path.slice(0, path.lastIndexOf("/")) || "/"];
}

/** The immutable or append-only attribute that stands in the way, by what {@link attributesCommand} printed of `path`. */
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

/** The path that rm(1) could not remove for want of permission, by what it says. */
export function deniedBy(stderr: string): string | undefined {
  return /'(\/.*)': Operation not permitted$/m.exec(stderr)?.[1];
}

/** What is at a path itself: its owner, and where it leads when it is a link. */
export interface Seen {
  readonly uid: number;
  readonly link?: string;
}

const MAX_LINKS = 40;

/**
 * Resolves a path for root, who must not be sent elsewhere by another user: a link of another user's is followed only
 * to what is that user's too. Yields each path to be looked at, takes what is there (null: nothing), and returns the
 * real path; of a path that does not exist, the directory that does must be the user's. Fails with `FILE_FAILED`.
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
