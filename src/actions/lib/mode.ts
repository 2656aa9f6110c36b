import { VolleyError } from "../../core/errors.ts";

const EXECUTE_BITS = 0o111;
const SET_UID = 0o4000;
const SET_GID = 0o2000;
const STICKY = 0o1000;

/** What chmod starts from when a file is new: 0o666 less the usual umask of 022. */
export const NEW_FILE_MODE = 0o644;
/** What chmod starts from when a directory is new: 0o777 less the usual umask of 022. */
export const NEW_DIRECTORY_MODE = 0o755;

// As numbers these are nonsense (a file its owner cannot read), as digits they are what everyone writes.
const FORGOTTEN_PREFIX: ReadonlySet<number> = new Set([
  600, 640, 644, 660, 664, 700, 750, 755, 770, 775, 777,
]);

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
 * Fails with `ACTION_FAILED` when it is none of these.
 */
export function parseMode(mode: string | number, current: number, isDirectory: boolean): number {
  if (typeof mode === "number") return checkNumber(mode);
  const trimmed = mode.trim();
  if (/^(0o)?[0-7]{1,5}$/.test(trimmed)) return checkNumber(Number.parseInt(trimmed.replace(/^0o/, ""), 8));
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
  if (FORGOTTEN_PREFIX.has(mode)) {
    throw new VolleyError("ACTION_FAILED", `mode ${mode} is a decimal number; write 0o${mode} or "0${mode}"`);
  }
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) {
    throw new VolleyError("ACTION_FAILED", `mode ${mode} is out of range; it goes from 0 to 0o7777`);
  }
  return mode;
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
