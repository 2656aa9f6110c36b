import { VolleyError } from "../../core/errors.ts";

const EXECUTE_BITS = 0o111;
const SET_UID = 0o4000;
const SET_GID = 0o2000;
const STICKY = 0o1000;
const MAX_MODE = 0o7777;

/** What chmod starts from when a file is new: 0o666 less the usual umask of 022. */
export const NEW_FILE_MODE = 0o644;
/** What chmod starts from when a directory is new: 0o777 less the usual umask of 022. */
export const NEW_DIRECTORY_MODE = 0o755;

interface Who {
  /** How far its rwx bits are shifted. */
  readonly shift: number;
  /** Which of setuid, setgid and sticky `s` means for it. */
  readonly set: number;
  readonly sticky: number;
}

const WHO: Readonly<Record<string, Who>> = {
  u: { shift: 6, set: SET_UID, sticky: 0 },
  g: { shift: 3, set: SET_GID, sticky: 0 },
  o: { shift: 0, set: 0, sticky: STICKY },
};

const CLAUSE = /^([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)$/;
const OPERATION = /([-+=])([ugo]|[rwxXst]*)/g;

/**
 * The permission bits that `mode` makes of `current`: a number, octal digits, or clauses as chmod(1) takes them
 * (`u=rwX,g=u,o=`, also `s` and `t`). Without a who, a clause is for all: the umask plays no part.
 * Fails with `ACTION_FAILED` when it is none of these, and for a decimal number that reads as an octal mode and is an
 * unlikely one by itself: 644, 2775; and 400, although it is 0o620.
 */
export function parseMode(mode: string | number, current: number, isDirectory: boolean): number {
  if (typeof mode === "number") return checkNumber(mode);
  const trimmed = mode.trim();
  if (/^(0o)?[0-7]{1,5}$/.test(trimmed)) return inRange(Number.parseInt(trimmed.replace(/^0o/, ""), 8));
  let bits = current;
  for (const clause of trimmed.split(",")) {
    const match = CLAUSE.exec(clause);
    if (match === null) {
      throw new VolleyError(
        "ACTION_FAILED",
        `mode "${mode}" is not one chmod knows; write "0644" or "u=rw,g=r,o="`,
      );
    }
    bits = applyClause(bits, match[1]!, match[2]!, isDirectory);
  }
  return bits;
}

/** Why a mode is none that {@link parseMode} takes; undefined when it is one. */
export function modeProblem(mode: string | number): string | undefined {
  try {
    parseMode(mode, 0, false);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function checkNumber(mode: number): number {
  const digits = String(mode);
  if (/^[1-7][0-7]{2,3}$/.test(digits)) {
    const read = Number.parseInt(digits, 8);
    const given = mode > MAX_MODE ? undefined : usualness(mode);
    if (given === undefined || given === 1 || usualness(read) > given) {
      const meant = given === undefined ? "" : `, or "${formatMode(mode)}" if the number itself is meant`;
      throw new VolleyError(
        "ACTION_FAILED",
        `mode ${mode} is a decimal number, not octal; write "${formatMode(read)}" (in TypeScript also 0o${digits})${meant}`,
      );
    }
  }
  return inRange(mode);
}

function inRange(mode: number): number {
  if (!Number.isInteger(mode) || mode < 0 || mode > MAX_MODE) {
    throw new VolleyError("ACTION_FAILED", `mode ${mode} is out of range; it goes from 0 to 0o7777`);
  }
  return mode;
}

/**
 * How usual permission bits are, 1 to 3: a decimal that reads as an octal mode is told from an octal number by which of
 * the two somebody can mean. 644 is 0o1204 (1) and reads as 0644 (3); 420 is 0o644 (3) and reads as 0420 (1).
 */
function usualness(mode: number): 1 | 2 | 3 {
  const [owner, group, others] = [(mode >> 6) & 7, (mode >> 3) & 7, mode & 7] as const;
  const writesUnread = (owner & 6) === 2;
  if (writesUnread || ((group | others) & ~owner) !== 0) return 1;
  const shares = [owner, owner & 5, owner & 4, owner & 1, 0];
  const readable = owner === 0 || (owner & 4) !== 0;
  return readable && (others & ~group) === 0 && shares.includes(group) && shares.includes(others) ? 3 : 2;
}

function applyClause(start: number, who: string, operations: string, isDirectory: boolean): number {
  const whos = who === "" || who.includes("a") ? "ugo" : who;
  let bits = start;
  for (const [, operator, permissions] of operations.matchAll(OPERATION)) {
    // Every who of a clause sees the bits as they were before it: `go=u` and `X` do not depend on the order.
    const before = bits;
    for (const name of whos) {
      const { shift, set, sticky } = WHO[name]!;
      const named = permissionBits(permissions!, before, isDirectory, WHO[name]!);
      if (operator === "+") bits |= named;
      else if (operator === "-") bits &= ~named;
      else bits = (bits & ~((0o7 << shift) | set | sticky)) | named;
    }
  }
  return bits;
}

function permissionBits(permissions: string, current: number, isDirectory: boolean, who: Who): number {
  const source = WHO[permissions];
  if (source !== undefined) return ((current >> source.shift) & 0o7) << who.shift;
  let bits = 0;
  for (const permission of permissions) {
    if (permission === "r") bits |= 0o4 << who.shift;
    else if (permission === "w") bits |= 0o2 << who.shift;
    else if (permission === "x") bits |= 0o1 << who.shift;
    else if (permission === "s") bits |= who.set;
    else if (permission === "t") bits |= who.sticky;
    else if (isDirectory || (current & EXECUTE_BITS) !== 0) bits |= 0o1 << who.shift;
  }
  return bits;
}

/** Permission bits as people read them: `0644`, `1777`. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
