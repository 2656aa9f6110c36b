import type { Change } from "../../core/action.ts";
import { modeAfterChown } from "../../core/permissions.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat, System } from "../../core/system.ts";
import {
  type FileContext,
  findGroup,
  findOwner,
  groupName,
  ownerName,
  resolveGroup,
  resolveOwner,
} from "../accounts/ownership.ts";
import { formatMode, NEW_DIRECTORY_MODE, NEW_FILE_MODE, parseMode } from "./mode.ts";

/** Who a file should belong to and who may do what with it; what is not given stays as it is. */
export interface FileAttributes {
  readonly owner?: string | number | undefined;
  readonly group?: string | number | undefined;
  readonly mode?: string | number | undefined;
}

/** That owner, group or mode of one path differ. */
export interface AttributeChange extends Change {
  readonly path: string;
  /** -1 leaves it as it is. */
  readonly uid: number;
  /** -1 leaves it as it is. */
  readonly gid: number;
  /** Absent: as it is. */
  readonly mode?: number;
  readonly diff: Diff & { readonly attributes: NonNullable<Diff["attributes"]> };
}

const UNCHANGED_ID = -1;

/**
 * Compares the attributes of a path with those wanted; null when nothing differs. `stat` is that of the path itself
 * (`lstat`): of a link only the owner and group count. With null the path is about to be made, as a `type`, and all
 * that is wanted differs. In check mode a user or group that does not exist is taken to be made by an earlier task. A change
 * of owner or group takes setuid and setgid from files ({@link modeAfterChown}) unless a mode is wanted that has them;
 * symbolic modes start from what is left.
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
  if (owner === undefined && group === undefined && mode === undefined) return null;
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
    // The change of owner comes first, and takes setuid and setgid away.
    if (kept !== wantedBits) bits = wantedBits;
  }
  const modeAfter = bits ?? kept;
  if (modeAfter !== undefined && modeAfter !== stat?.mode)
    attributes.mode = [stat === null ? "" : formatMode(stat.mode), formatMode(modeAfter)];
  if (Object.keys(attributes).length === 0) return null;
  return {
    path,
    uid,
    gid,
    ...(bits === undefined ? {} : { mode: bits }),
    diff: { path, attributes },
    ...(missing.length === 0 ? {} : { message: `there is no ${missing.join(" and no ")} yet` }),
  };
}

/** Gives a path the attributes that {@link inspectAttributes} found to differ. */
export async function applyAttributes(change: AttributeChange, system: System): Promise<void> {
  if (change.uid !== UNCHANGED_ID || change.gid !== UNCHANGED_ID)
    await system.chown(change.path, change.uid, change.gid);
  if (change.mode !== undefined) await system.chmod(change.path, change.mode);
}
