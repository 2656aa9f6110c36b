import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { type StatFacts, statFacts } from "../shared/file-facts.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { expandPath, linkTarget } from "../shared/paths.ts";

/** Facts of a file, under Ansible's names; for a missing file only `exists`. */
interface FileFacts extends Partial<StatFacts>, Partial<Access> {
  readonly exists: boolean;
  readonly path?: string;
  /** Bytes of a read or write that suits the file system. */
  readonly block_size?: number;
  /** Blocks of 512 bytes. */
  readonly blocks?: number;
  readonly device_type?: number;
  readonly checksum?: string;
  /** `unknown` where file(1) does not tell. */
  readonly mimetype?: string;
  /** `unknown` where file(1) does not tell. */
  readonly charset?: string;
  /** The letters of lsattr(1). */
  readonly attr_flags?: string;
  /** The words for these letters, such as `immutable`. */
  readonly attributes?: readonly string[];
  /** The file's generation number; null where the file system has none. */
  readonly version?: string | null;
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

It never changes anything, and a missing file is not an error. The names are Ansible's. MIME type and character set are
read with file(1), and are \`unknown\` without; attributes are read with lsattr(1), and are empty without. Each of the two
costs a process: set \`get_mime\` and \`get_attributes\` to false where they do not matter.`,
  params: v.strictObject({
    path: text("The path: absolute, or from `~/`."),
    follow: flag("Read the target of a link instead of the link."),
    get_checksum: flag("Calculate the file's checksum.", true),
    checksum_algorithm: oneOf(
      ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"],
      "sha1",
      "The checksum's algorithm.",
    ),
    get_mime: flag("Read the MIME type and the character set.", true),
    get_attributes: flag("Read the attributes that chattr sets.", true),
  }),
  aliases: {
    ...{ dest: "path", name: "path", checksum: "checksum_algorithm", checksum_algo: "checksum_algorithm" },
    ...{ mime: "get_mime", mime_type: "get_mime", "mime-type": "get_mime" },
    ...{ attr: "get_attributes", attributes: "get_attributes" },
  },
  examples: [{ path: "/etc/nginx/nginx.conf", get_checksum: false }],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const path = await expandPath(system, params.path, context.facts.env);
    const { follow, get_checksum, checksum_algorithm, get_mime, get_attributes } = params;
    const found = await (follow ? system.stat(path, true) : system.lstat(path, true));
    if (found === null) return unchanged<StatData>({ stat: { exists: false } });
    const [mime, attributes] = await Promise.all([
      get_mime ? readMime(system, path) : {},
      get_attributes ? readAttributes(system, path) : {},
    ]);
    const checksum =
      found.type === "file" && get_checksum
        ? await checksumIfReadable(system, path, checksum_algorithm)
        : undefined;
    return unchanged<StatData>({
      stat: {
        exists: true,
        path,
        ...(await statFacts(system, found, context)),
        ...{ block_size: found.blockSize, blocks: found.blocks, device_type: found.rdev },
        ...(await describeAccess(found.type === "link" ? await system.stat(path) : found, system, context)),
        ...(checksum === undefined ? {} : { checksum }),
        ...mime,
        ...attributes,
        ...(found.type === "link" ? await describeLink(system, path) : {}),
      },
    });
  },
});

/** Run a command that only asks; undefined when it is missing or fails. */
async function ask(system: ReadSystem, argv: readonly string[]): Promise<string | undefined> {
  try {
    const { code, stdout } = await system.query(argv, { env: { LC_ALL: "C" } });
    return code === 0 ? stdout : undefined;
  } catch {
    return undefined;
  }
}

/** Ask file(1) for the MIME type; like Ansible's stat, not of the target of a link. */
async function readMime(system: ReadSystem, path: string): Promise<Partial<FileFacts>> {
  const argv = ["file", "--brief", "--mime-type", "--mime-encoding", "--", path];
  const match = /^([^;\s]+\/[^;\s]+); charset=(\S+)\s*$/.exec((await ask(system, argv)) ?? "");
  return { mimetype: match?.[1] ?? "unknown", charset: match?.[2] ?? "unknown" };
}

/** The words for the letters of lsattr(1). */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  A: "noatime",
  a: "append",
  c: "compressed",
  C: "nocow",
  d: "nodump",
  D: "dirsync",
  e: "extents",
  E: "encrypted",
  h: "blocksize",
  i: "immutable",
  I: "indexed",
  j: "journalled",
  N: "inline",
  s: "zero",
  S: "synchronous",
  t: "notail",
  T: "blockroot",
  u: "undelete",
  X: "compressedraw",
  Z: "compresseddirty",
};

/** Ask lsattr(1) for the attributes. */
async function readAttributes(system: ReadSystem, path: string): Promise<Partial<FileFacts>> {
  const printed = await ask(system, ["lsattr", "-vd", "--", path]);
  const match = /^\s*(\d+)\s+([-A-Za-z]+)\s/.exec(printed ?? "");
  const letters = [...(match?.[2] ?? "").replaceAll("-", "")];
  return {
    attr_flags: letters.join(""),
    attributes: letters.flatMap((letter) => ATTRIBUTES[letter] ?? []),
    version: match?.[1] ?? null,
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
  const source = linkTarget(path, target);
  // Root goes no way that another user chose, and tells where it leads all the same.
  return { lnk_target: target, lnk_source: there ? await system.realPath(path).catch(() => source) : source };
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
