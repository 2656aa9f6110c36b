import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { groupName, ownerName } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { formatMode } from "../shared/attributes.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { linkTarget } from "../shared/paths.ts";

/** Facts of a file, under Ansible's names; for a missing file only `exists`. */
interface FileFacts {
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
  /** Access of the running user to the file, or to a link's target, by owner, group and mode. */
  readonly readable?: boolean;
  readonly writeable?: boolean;
  readonly executable?: boolean;
  readonly checksum?: string;
  /** The final target of a link, as an absolute path. */
  readonly lnk_source?: string;
  /** The target of a link, as written. */
  readonly lnk_target?: string;
}

/** The data of a stat task. */
interface StatData {
  readonly stat: FileFacts;
}

/** Read facts about a file. */
export const stat = defineAction({
  name: "stat",
  doc: `Read facts about a path, on which later tasks can decide: \`data.stat.exists\`, \`data.stat.isdir\` and so on.

It never changes anything, and a missing file is not an error. The names are Ansible's; MIME type, extended attributes
and change time are not read.`,
  params: v.strictObject({
    path: text("The path: absolute, or from `~/`."),
    follow: flag("Read the target of a link instead of the link."),
    get_checksum: flag("Calculate the file's checksum.", true),
    checksum_algorithm: oneOf(
      ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
      "sha1",
      "The checksum's algorithm.",
    ),
    get_mime: flag("Accepted and ignored."),
    get_attributes: flag("Accepted and ignored."),
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
    // As in Ansible, an unreadable file has no checksum.
    return undefined;
  }
}

async function describeLink(system: ReadSystem, path: string): Promise<Partial<FileFacts>> {
  const target = await system.readLink(path);
  const there = (await system.stat(path)) !== null;
  return { lnk_target: target, lnk_source: there ? await system.realPath(path) : linkTarget(path, target) };
}

/** A user's access to a file, under Ansible's names. */
interface Access {
  readonly readable: boolean;
  readonly writeable: boolean;
  readonly executable: boolean;
}

/** Calculate a user's access by owner, group and mode. Root may do everything but execute a file that no one may execute. */
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
