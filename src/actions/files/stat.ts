import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { groupName, ownerName } from "../accounts/ownership.ts";
import { defineAction } from "../define.ts";
import { formatMode } from "../shared/mode.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { linkTarget } from "../shared/paths.ts";
import { type Access, accessOf } from "./access.ts";

/** What `stat` finds out, under Ansible's names; all but `exists` is absent when there is nothing. */
export interface FileFacts {
  readonly exists: boolean;
  readonly path?: string;
  /** Octal: `0644`. */
  readonly mode?: string;
  readonly isreg?: boolean;
  readonly isdir?: boolean;
  readonly islnk?: boolean;
  readonly isblk?: boolean;
  readonly ischr?: boolean;
  readonly isfifo?: boolean;
  readonly issock?: boolean;
  readonly isuid?: boolean;
  readonly isgid?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  readonly pw_name?: string;
  readonly gr_name?: string;
  /** Bytes. */
  readonly size?: number;
  readonly inode?: number;
  readonly dev?: number;
  readonly nlink?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
  /** Seconds since 1970. */
  readonly atime?: number;
  readonly rusr?: boolean;
  readonly wusr?: boolean;
  readonly xusr?: boolean;
  readonly rgrp?: boolean;
  readonly wgrp?: boolean;
  readonly xgrp?: boolean;
  readonly roth?: boolean;
  readonly woth?: boolean;
  readonly xoth?: boolean;
  /** What the running user may do with it, or with what a link leads to, by owner, group and mode. */
  readonly readable?: boolean;
  readonly writeable?: boolean;
  readonly executable?: boolean;
  readonly checksum?: string;
  /** Where a link leads in the end, as an absolute path. */
  readonly lnk_source?: string;
  /** Where a link leads, as it is written. */
  readonly lnk_target?: string;
}

/** What `stat` tells. */
export interface StatData {
  readonly stat: FileFacts;
}

/** Finds out about a file. */
export const stat = defineAction({
  name: "stat",
  doc: `Finds out what is at a path, for later tasks to decide by: \`data.stat.exists\`, \`data.stat.isdir\` and so on.

Never changes anything, and a missing file is not an error. The names are Ansible's; the MIME type, extended attributes
and the change time are not found out.`,
  params: v.strictObject({
    path: text("The path: absolute, or from `~/`."),
    follow: flag("Of a link, tell what it leads to."),
    get_checksum: flag("Read the file to tell its checksum.", true),
    checksum_algorithm: oneOf(
      ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
      "sha1",
      "How the checksum is made.",
    ),
    get_mime: flag("Taken for Ansible's sake, and without effect."),
    get_attributes: flag("Taken for Ansible's sake, and without effect."),
  }),
  examples: [{ path: "/etc/nginx/nginx.conf", get_checksum: false }],
  title: ({ path }) => path,

  async inspect({ path, follow, get_checksum, checksum_algorithm }, system, context) {
    const found = await (follow ? system.stat(path, true) : system.lstat(path, true));
    if (found === null) return unchanged<StatData>({ stat: { exists: false } });
    const [user, group] = [
      await ownerName(system, found.uid, context),
      await groupName(system, found.gid, context),
    ];
    const checksum =
      found.type === "file" && get_checksum
        ? await checksumIfReadable(system, path, checksum_algorithm)
        : undefined;
    return unchanged<StatData>({
      stat: {
        exists: true,
        path,
        ...describeStat(found),
        ...(await describeAccess(found.type === "link" ? await system.stat(path) : found, system, context)),
        ...(user === undefined ? {} : { pw_name: user }),
        ...(group === undefined ? {} : { gr_name: group }),
        ...(checksum === undefined ? {} : { checksum }),
        ...(found.type === "link" ? await describeLink(system, path) : {}),
      },
    });
  },
});

function describeStat({
  type,
  mode,
  uid,
  gid,
  size,
  inode,
  device,
  links,
  mtimeMs,
  atimeMs,
}: Stat): Partial<FileFacts> {
  const may = (bit: number): boolean => (mode & bit) !== 0;
  return {
    mode: formatMode(mode),
    ...{
      isreg: type === "file",
      isdir: type === "directory",
      islnk: type === "link",
      isblk: type === "block",
    },
    ...{ ischr: type === "character", isfifo: type === "fifo", issock: type === "socket" },
    ...{ isuid: may(0o4000), isgid: may(0o2000), uid, gid, size, inode, dev: device, nlink: links },
    ...{ mtime: mtimeMs / 1000, atime: atimeMs / 1000 },
    ...{
      rusr: may(0o400),
      wusr: may(0o200),
      xusr: may(0o100),
      rgrp: may(0o040),
      wgrp: may(0o020),
      xgrp: may(0o010),
    },
    ...{ roth: may(0o004), woth: may(0o002), xoth: may(0o001) },
  };
}

async function describeAccess(
  stat: Stat | null,
  system: ReadSystem,
  { memo }: ActionContext,
): Promise<Access> {
  if (stat === null) return { readable: false, writeable: false, executable: false };
  const { uid, gid } = system;
  if (uid === 0 || stat.uid === uid || stat.gid === gid) return accessOf(stat, { uid, groups: [gid] });
  const printed = await memo.get(
    "groups of the running user",
    async () => (await system.query(["id", "-G"])).stdout,
  );
  return accessOf(stat, { uid, groups: printed.trim().split(" ").map(Number) });
}

async function checksumIfReadable(
  system: ReadSystem,
  path: string,
  algorithm: string,
): Promise<string | undefined> {
  try {
    return await system.checksum(path, algorithm);
  } catch {
    // As in Ansible, a file that may not be read has no checksum.
    return undefined;
  }
}

async function describeLink(system: ReadSystem, path: string): Promise<Partial<FileFacts>> {
  const target = await system.readLink(path);
  const there = (await system.stat(path)) !== null;
  return { lnk_target: target, lnk_source: there ? await system.realPath(path) : linkTarget(path, target) };
}
