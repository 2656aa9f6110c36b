import type { ReadSystem, Stat } from "../../core/system.ts";
import { type FileContext, groupName, ownerName } from "../accounts/accounts.ts";
import { formatMode } from "./attributes.ts";

/** Facts of a file that Ansible's `stat` and `find` both return. */
export interface StatFacts {
  /** Octal: `0644`. */
  readonly mode: string;
  readonly isreg: boolean;
  readonly isdir: boolean;
  readonly islnk: boolean;
  readonly isblk: boolean;
  readonly ischr: boolean;
  readonly isfifo: boolean;
  readonly issock: boolean;
  readonly isuid: boolean;
  readonly isgid: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly pw_name?: string;
  readonly gr_name?: string;
  /** Bytes. */
  readonly size: number;
  readonly inode: number;
  readonly dev: number;
  readonly nlink: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Seconds since 1970. */
  readonly atime: number;
  /** Seconds since 1970. */
  readonly ctime: number;
  readonly rusr: boolean;
  readonly wusr: boolean;
  readonly xusr: boolean;
  readonly rgrp: boolean;
  readonly wgrp: boolean;
  readonly xgrp: boolean;
  readonly roth: boolean;
  readonly woth: boolean;
  readonly xoth: boolean;
}

/** Return the facts of an exact Stat, with the names of owner and group as far as known. */
export async function statFacts(system: ReadSystem, stat: Stat, context: FileContext): Promise<StatFacts> {
  const { type, mode, uid, gid } = stat;
  const may = (bit: number): boolean => (mode & bit) !== 0;
  const [user, group] = await Promise.all([ownerName(system, uid, context), groupName(system, gid, context)]);
  return {
    mode: formatMode(mode),
    isreg: type === "file",
    isdir: type === "directory",
    islnk: type === "link",
    isblk: type === "block",
    ischr: type === "character",
    isfifo: type === "fifo",
    issock: type === "socket",
    isuid: may(0o4000),
    isgid: may(0o2000),
    ...{ uid, gid, size: stat.size, inode: stat.inode, dev: stat.device, nlink: stat.links },
    ...{ mtime: stat.mtimeMs / 1000, atime: stat.atimeMs / 1000, ctime: stat.ctimeMs / 1000 },
    ...{ rusr: may(0o400), wusr: may(0o200), xusr: may(0o100) },
    ...{ rgrp: may(0o040), wgrp: may(0o020), xgrp: may(0o010) },
    ...{ roth: may(0o004), woth: may(0o002), xoth: may(0o001) },
    ...(user === undefined ? {} : { pw_name: user }),
    ...(group === undefined ? {} : { gr_name: group }),
  };
}
