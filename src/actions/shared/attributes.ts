import type { Change } from "../../core/action.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat, System } from "../../core/system.ts";
import { modeAfterChown, SET_GID, SET_UID } from "../../core/unix/permissions.ts";
import {
  type FileContext,
  findGroup,
  findOwner,
  groupName,
  ownerName,
  resolveGroup,
  resolveOwner,
} from "../accounts/accounts.ts";
import { runTool } from "./run-tool.ts";

/** The wanted owner, group and mode of a file; those not given stay as they are. */
export interface FileAttributes {
  readonly owner?: string | number | undefined;
  readonly group?: string | number | undefined;
  readonly mode?: string | number | undefined;
  /** Flags as chattr(1) takes them. */
  readonly attributes?: string | undefined;
  readonly seuser?: string | undefined;
  readonly serole?: string | undefined;
  readonly setype?: string | undefined;
  readonly selevel?: string | undefined;
  /** Write in place where a file cannot be replaced. */
  readonly unsafe_writes?: boolean | undefined;
}

/** Pick the attributes of a file from an action's parameters. */
export function attributesOf(given: FileAttributes): FileAttributes {
  const { owner, group, mode, attributes, seuser, serole, setype, selevel, unsafe_writes } = given;
  return { owner, group, mode, attributes, seuser, serole, setype, selevel, unsafe_writes };
}

/** A change of owner, group or mode of one path. */
export interface AttributeChange extends Change {
  readonly path: string;
  /** -1 keeps it. */
  readonly uid: number;
  /** -1 keeps it. */
  readonly gid: number;
  /** Absent to keep it. */
  readonly mode?: number;
  /** The argument of chattr(1); absent to keep the flags. */
  readonly flags?: string;
  readonly diff: Diff & { readonly attributes: NonNullable<Diff["attributes"]> };
}

const UNCHANGED_ID = -1;

/**
 * Compare the attributes of a path with the wanted ones; null when nothing differs. `stat` is that of the path itself
 * (`lstat`): of a link only owner and group count. A null `stat` means that the path will be made, as a `type`, so
 * that all wanted attributes differ. Check mode assumes that an earlier task makes a missing user or group. A change of
 * owner or group removes setuid and setgid from files ({@link modeAfterChown}) unless the wanted mode has them; symbolic
 * modes start from the remaining bits.
 */
export async function inspectAttributes(
  system: ReadSystem,
  path: string,
  stat: Stat | null,
  wanted: FileAttributes,
  context?: FileContext,
  type: "file" | "directory" = "file",
): Promise<AttributeChange | null> {
  const { owner, group, mode } = wanted;
  await refuseSelinux(system, wanted);
  const flags =
    !wanted.attributes || stat?.type === "link"
      ? null
      : await inspectFlags(system, stat === null ? null : path, wanted.attributes);
  if (owner === undefined && group === undefined && mode === undefined && flags === null) return null;
  const attributes: Record<string, readonly [string, string]> = {};
  const missing: string[] = [];
  let uid = UNCHANGED_ID;
  let gid = UNCHANGED_ID;
  if (owner !== undefined) {
    const id = await (context?.check ? findOwner : resolveOwner)(system, owner, context);
    if (id === null) missing.push(`user "${owner}"`);
    if (id === null || stat === null || stat.uid !== id) {
      uid = id ?? UNCHANGED_ID;
      const before = stat === null ? "" : ((await ownerName(system, stat.uid, context)) ?? String(stat.uid));
      attributes.owner = [before, String(owner)];
    }
  }
  if (group !== undefined) {
    const id = await (context?.check ? findGroup : resolveGroup)(system, group, context);
    if (id === null) missing.push(`group "${group}"`);
    if (id === null || stat === null || stat.gid !== id) {
      gid = id ?? UNCHANGED_ID;
      const before = stat === null ? "" : ((await groupName(system, stat.gid, context)) ?? String(stat.gid));
      attributes.group = [before, String(group)];
    }
  }
  const isChown = stat !== null && Object.keys(attributes).length > 0;
  const kept = stat === null ? undefined : isChown ? modeAfterChown(stat) : stat.mode;
  let bits: number | undefined;
  if (mode !== undefined && stat?.type !== "link") {
    const isDirectory = (stat?.type ?? type) === "directory";
    const initial = isDirectory ? NEW_DIRECTORY_MODE : NEW_FILE_MODE;
    const wantedBits = parseMode(mode, kept ?? initial, isDirectory);
    // The change of owner comes first, and removes setuid and setgid.
    if (kept !== wantedBits) bits = wantedBits;
  }
  const modeAfter = bits ?? kept;
  if (modeAfter !== undefined && modeAfter !== stat?.mode)
    attributes.mode = [stat === null ? "" : formatMode(stat.mode), formatMode(modeAfter)];
  if (flags !== null) attributes.attributes = flags.change;
  if (Object.keys(attributes).length === 0) return null;
  return {
    path,
    ...(flags === null ? {} : { flags: flags.argument }),
    uid,
    gid,
    ...(bits === undefined ? {} : { mode: bits }),
    diff: { path, attributes },
    ...(missing.length === 0 ? {} : { message: `there is no ${missing.join(" and no ")} yet` }),
  };
}

/** Set the attributes that {@link inspectAttributes} found to differ. */
export async function applyAttributes(change: AttributeChange, system: System): Promise<void> {
  if (change.uid !== UNCHANGED_ID || change.gid !== UNCHANGED_ID)
    await system.chown(change.path, change.uid, change.gid);
  if (change.mode !== undefined) await system.chmod(change.path, change.mode);
  if (change.flags !== undefined) await setFlags(system, change.path, change.flags);
}

/** Set flags of a file with chattr(1). */
export async function setFlags(system: System, path: string, flags: string): Promise<void> {
  await runTool(system, ["chattr", flags, path], `set the attributes ${flags} of ${path}`);
}

/** Compare a file's flags (lsattr(1)) with the wanted ones; null when nothing differs. A null path is a new file. */
async function inspectFlags(
  system: ReadSystem,
  path: string | null,
  wanted: string,
): Promise<{ readonly argument: string; readonly change: readonly [string, string] } | null> {
  const argument = /^[-+=]/.test(wanted) ? wanted : `=${wanted}`;
  const letters = [...argument.slice(1)];
  if ((await system.which("chattr")) === null)
    throw new VolleyError("ACTION_FAILED", "setting attributes needs chattr; install e2fsprogs first");
  const shown = path === null ? undefined : await system.query(["lsattr", "-d", path]);
  // Some file systems have flags to set and none to show.
  const present = shown?.code === 0 ? (shown.stdout.split(" ")[0] ?? "").replaceAll("-", "") : "";
  const isAs = argument.startsWith("+")
    ? letters.every((letter) => present.includes(letter))
    : argument.startsWith("-")
      ? shown?.code === 0 && !letters.some((letter) => present.includes(letter))
      : // The file system itself sets "e", for extents.
        [...present].sort().join("").replace("e", "") === letters.sort().join("").replace("e", "");
  return isAs ? null : { argument, change: [present, argument] };
}

async function refuseSelinux(
  system: ReadSystem,
  { seuser, serole, setype, selevel }: FileAttributes,
): Promise<void> {
  const given = seuser ?? serole ?? setype ?? selevel;
  if (given === undefined || (await system.stat("/sys/fs/selinux/enforce")) === null) return;
  throw new VolleyError(
    "ACTION_FAILED",
    `the SELinux context "${given}" cannot be set; use chcon or semanage`,
  );
}

const EXECUTE_BITS = 0o111;
const STICKY = 0o1000;
const MAX_MODE = 0o7777;

/** The mode of a new file, from which symbolic modes start: 0o666 without the usual umask of 022. */
export const NEW_FILE_MODE = 0o644;
/** The mode of a new directory, from which symbolic modes start: 0o777 without the usual umask of 022. */
const NEW_DIRECTORY_MODE = 0o755;

interface Who {
  /** Shift of its rwx bits. */
  readonly shift: number;
  /** The bit that `s` means for it. */
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
 * Apply `mode` to the permission bits `current`: a number, octal digits, or clauses of chmod(1) (`u=rwX,g=u,o=`, also
 * `s` and `t`). A clause without ugo applies to all, regardless of the umask. Fails with `ACTION_FAILED` for other text,
 * and for a decimal number that looks like an octal mode and is an unlikely mode by value: 644, 2775; and 400, although
 * it is 0o620.
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

/** Say why {@link parseMode} refuses a mode; undefined when it does not. */
export function modeProblem(mode: string | number): string | undefined {
  try {
    parseMode(mode, 0, false);
    return undefined;
  } catch (thrown) {
    return messageOf(thrown);
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
 * Rate how usual permission bits are, from 1 to 3, to tell a decimal written for an octal mode from a real number: 644
 * is 0o1204 (1) and reads as 0644 (3); 420 is 0o644 (3) and reads as 0420 (1).
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
    // Each operation applies to the bits before it: `go=u` and `X` do not depend on the order of ugo.
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

/** Format permission bits: `0644`, `1777`. */
export function formatMode(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
