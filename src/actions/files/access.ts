import type { Stat } from "../../core/system.ts";

/** What a user may do with a file, under Ansible's names. */
export interface Access {
  readonly readable: boolean;
  readonly writeable: boolean;
  readonly executable: boolean;
}

/** What a user may do by owner, group and mode: root all but to run what nobody may run. */
export function accessOf(
  { type, mode, uid, gid }: Pick<Stat, "type" | "mode" | "uid" | "gid">,
  user: { readonly uid: number; readonly groups: readonly number[] },
): Access {
  if (user.uid === 0)
    return { readable: true, writeable: true, executable: type === "directory" || (mode & 0o111) !== 0 };
  const shift = uid === user.uid ? 6 : user.groups.includes(gid) ? 3 : 0;
  const may = (bit: number): boolean => ((mode >> shift) & bit) !== 0;
  return { readable: may(4), writeable: may(2), executable: may(1) };
}
