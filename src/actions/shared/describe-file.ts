import type { ReadSystem } from "../../core/system.ts";
import { type FileContext, groupName, ownerName } from "../accounts/accounts.ts";

/** A file as Ansible's modules return it. */
export interface FileDescription {
  /** Name, or id without a name. */
  readonly owner: string;
  readonly group: string;
  readonly uid: number;
  readonly gid: number;
  /** Octal, with a zero first: `0644`, `01777`. */
  readonly mode: string;
  /** Bytes. */
  readonly size: number;
  /** `hard` is a file with several names. */
  readonly state: "file" | "directory" | "link" | "hard";
}

/** Describe what is at a path, a link itself; a host reached directly tells of several names only where the result is registered. Nothing is said of a missing path or a link that leads nowhere. */
export async function describeFile(
  system: ReadSystem,
  path: string,
  context?: FileContext,
): Promise<FileDescription | Record<never, never>> {
  const stat = await system.lstat(path, context?.registered === true);
  if (stat === null || (stat.type === "link" && (await system.stat(path)) === null)) return {};
  const { type, uid, gid, mode, size, links } = stat;
  const [owner, group] = await Promise.all([
    ownerName(system, uid, context),
    groupName(system, gid, context),
  ]);
  return {
    owner: owner ?? String(uid),
    group: group ?? String(gid),
    uid,
    gid,
    mode: `0${mode.toString(8).padStart(3, "0")}`,
    size,
    state: type === "directory" || type === "link" ? type : links > 1 ? "hard" : "file",
  };
}
