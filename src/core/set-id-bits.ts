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
