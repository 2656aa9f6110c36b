import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { readMounts } from "./fstab.ts";
import { runsOk } from "./lvm.ts";

// The file systems and their tools: making one, growing it, setting its UUID.

/** A kind of file system. */
export interface FileSystem {
  /** The command that makes one; options and device follow. */
  readonly make: readonly string[];
  /** Options to make it over another. */
  readonly force: readonly string[];
  /** Debian's package with the command. */
  readonly from: string;
  /** Its name to blkid, where it is another. */
  readonly probed?: string;
  readonly uuidOption?: (uuid: string) => readonly string[];
}

const ext = (name: string): FileSystem => ({
  make: [`mkfs.${name}`],
  force: ["-F"],
  from: "e2fsprogs",
  uuidOption: (uuid) => ["-U", uuid],
});

/** Every kind of file system, by Ansible's name. */
export const FILE_SYSTEMS = {
  ext2: ext("ext2"),
  ext3: ext("ext3"),
  ext4: ext("ext4"),
  ext4dev: ext("ext4"),
  xfs: { make: ["mkfs.xfs"], force: ["-f"], from: "xfsprogs", uuidOption: (uuid) => ["-m", `uuid=${uuid}`] },
  btrfs: { make: ["mkfs.btrfs"], force: ["-f"], from: "btrfs-progs", uuidOption: (uuid) => ["-U", uuid] },
  bcachefs: {
    make: ["mkfs.bcachefs"],
    force: ["--force"],
    from: "bcachefs-tools",
    uuidOption: (uuid) => ["-U", uuid],
  },
  f2fs: { make: ["mkfs.f2fs"], force: ["-f"], from: "f2fs-tools" },
  ocfs2: {
    make: ["mkfs.ocfs2", "-x"],
    force: ["-F"],
    from: "ocfs2-tools",
    uuidOption: (uuid) => ["-U", uuid],
  },
  reiserfs: {
    make: ["mkfs.reiserfs", "-q"],
    force: ["-f"],
    from: "reiserfsprogs",
    uuidOption: (uuid) => ["-u", uuid],
  },
  vfat: { make: ["mkfs.vfat"], force: [], from: "dosfstools" },
  swap: { make: ["mkswap"], force: ["-f"], from: "util-linux", uuidOption: (uuid) => ["-U", uuid] },
  ufs: { make: ["newfs"], force: [], from: "ufsutils" },
  lvm: {
    make: ["pvcreate"],
    force: ["-f", "-y"],
    from: "lvm2",
    probed: "LVM2_member",
    uuidOption: (uuid) => ["--norestorefile", "--uuid", uuid],
  },
} as const satisfies Readonly<Record<string, FileSystem>>;

/** The name of a kind of file system. */
export type FileSystemName = keyof typeof FILE_SYSTEMS;

/** Return the command that sets the UUID of a file system; null where none does. */
export function uuidCommand(fstype: FileSystemName, uuid: string, dev: string): readonly string[] | null {
  switch (fstype) {
    case "ext2":
    case "ext3":
    case "ext4":
    case "ext4dev":
      return ["tune2fs", "-U", uuid, dev];
    case "xfs":
      return ["xfs_admin", "-U", uuid === "random" ? "generate" : uuid, dev];
    case "swap":
      return ["swaplabel", "-U", uuid, dev];
    case "btrfs":
      return uuid === "random" ? ["btrfstune", "-f", "-u", dev] : ["btrfstune", "-f", "-U", uuid, dev];
    case "ocfs2":
      return ["tunefs.ocfs2", "-U", uuid, dev];
    case "reiserfs":
      return ["reiserfstune", "-u", uuid, dev];
    case "lvm":
      // pvchange gives a random one only.
      return uuid === "random" ? ["pvchange", "-u", dev] : null;
    default:
      return null;
  }
}

/** The growth of a file system. */
interface Growth {
  readonly argv: readonly string[];
  /** Bytes. */
  readonly before: number;
  readonly after: number;
}

/**
 * Return the command that grows a file system to its device; null when it fills it, but for less than a block. Fails
 * with `ACTION_FAILED` for kinds that cannot be grown, and for one that must be mounted and is not.
 */
export async function growCommand(
  type: string,
  dev: string,
  fileSize: number,
  system: ReadSystem,
): Promise<Growth | null> {
  const after = await deviceSize(dev, fileSize, system);
  const ask = (argv: readonly string[]): Promise<string> => runsOk(argv, `read the size of ${dev}`, system);
  const growth = (before: number, block: number, argv: readonly string[]): Growth | null =>
    after - before < block ? null : { argv, before, after };
  switch (type) {
    case "ext2":
    case "ext3":
    case "ext4": {
      const text = await ask(["dumpe2fs", "-h", dev]);
      const block = numberIn(text, /^Block size:\s+(\d+)/m);
      return growth(numberIn(text, /^Block count:\s+(\d+)/m) * block, block, ["resize2fs", dev]);
    }
    case "xfs": {
      const path = await mountPoint(dev, type, system);
      const text = await ask(["xfs_info", path]);
      const block = numberIn(text, /^data\s+=\s+bsize=(\d+)/m);
      return growth(numberIn(text, /^data\s+=.*\bblocks=(\d+)/m) * block, block, ["xfs_growfs", path]);
    }
    case "btrfs": {
      const path = await mountPoint(dev, type, system);
      const text = await ask(["btrfs", "filesystem", "usage", "-b", path]);
      // It leaves up to a sector unused.
      return growth(numberIn(text, /Device size:\s+(\d+)/), 4096, [
        "btrfs",
        "filesystem",
        "resize",
        "max",
        path,
      ]);
    }
    case "LVM2_member": {
      const columns = ["--noheadings", "--nosuffix", "--units", "b", "-o"];
      const text = await ask(["pvs", ...columns, "pv_size,vg_extent_size", dev]);
      const [size = 0, extent = 0] = text.trim().split(/\s+/).map(Number);
      // The header, and what is less than an extent, are no part of it.
      return growth(size, Math.max(extent, 4 * 1024 * 1024) * 2, ["pvresize", dev]);
    }
    default:
      throw new VolleyError(
        "ACTION_FAILED",
        `a file system of type ${type} cannot be grown: set resizefs to false`,
      );
  }
}

async function deviceSize(dev: string, fileSize: number, system: ReadSystem): Promise<number> {
  if ((await system.stat(dev))?.type === "file") return fileSize;
  return Number((await runsOk(["blockdev", "--getsize64", dev], `read the size of ${dev}`, system)).trim());
}

function numberIn(text: string, expression: RegExp): number {
  const [, digits] = expression.exec(text) ?? [];
  if (digits === undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      `cannot read the size of the file system: ${expression} is not in the tool's answer`,
    );
  return Number(digits);
}

async function mountPoint(dev: string, type: string, system: ReadSystem): Promise<string> {
  const real = await system.realPath(dev);
  const mount = (await readMounts(system)).find(({ source }) => source === dev || source === real);
  if (mount === undefined)
    throw new VolleyError("ACTION_FAILED", `${dev} has to be mounted to be grown: it is of type ${type}`);
  return mount.path;
}
