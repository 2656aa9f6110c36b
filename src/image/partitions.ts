import { closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { VolleyError } from "../core/errors.ts";
import { fileReason } from "../core/unix/user-file.ts";

// The partitions of a disk image, found by reading it: MBR, GPT, or one file system without a table.

/** A part of a disk image that may hold a file system. */
export interface Partition {
  /** As Linux numbers partitions, from 1; 0 for an image without a table. */
  readonly number: number;
  /** In bytes. */
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  /** The name of the file system as mount(8) has it, or of something else that is there; undefined for neither. */
  readonly content: string | undefined;
}

type Read = (offset: number, bytes: number) => Buffer;

const SECTOR = 512;
/** GPT counts in the disk's sectors, and a file does not tell their size. */
const GPT_SECTORS = [512, 4096];
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;
/** More than tables have: a damaged one must not keep a loop going. */
const MAX_PARTITIONS = 128;

/** The marks of contents: at an offset stands a text. */
const MARKS: readonly (readonly [content: string, offset: number, mark: string])[] = [
  ["ext4", 0x438, "\x53\xef"],
  ["xfs", 0, "XFSB"],
  ["btrfs", 0x10040, "_BHRfS_M"],
  ["f2fs", 0x400, "\x10\x20\xf5\xf2"],
  ["erofs", 0x400, "\xe2\xe1\xf5\xe0"],
  ["squashfs", 0, "hsqs"],
  ["iso9660", 0x8001, "CD001"],
  ["crypto_LUKS", 0, "LUKS\xba\xbe"],
  ["LVM2_member", 0x218, "LVM2 001"],
  ["swap", 0xff6, "SWAPSPACE2"],
  ["vfat", 0x52, "FAT32   "],
  ["vfat", 0x36, "FAT16   "],
  ["vfat", 0x36, "FAT12   "],
];

/** The beginnings of files that are no raw images, and the way to make one. */
const OTHER_FORMATS: readonly (readonly [name: string, mark: string, hint: string])[] = [
  ["in QEMU's format qcow2", "QFI\xfb", "qemu-img convert -O raw FILE disk.img"],
  ["in VMware's format VMDK", "KDMV", "qemu-img convert -O raw FILE disk.img"],
  ["in Microsoft's format VHDX", "vhdxfile", "qemu-img convert -O raw FILE disk.img"],
  ["compressed with gzip", "\x1f\x8b", "gunzip FILE"],
  ["compressed with xz", "\xfd7zXZ\0", "unxz FILE"],
  ["compressed with zstd", "\x28\xb5\x2f\xfd", "unzstd FILE"],
  ["a zip", "PK\x03\x04", "unzip FILE"],
];

/**
 * Read the partitions of a disk image or a block device. Fails with `USAGE` for a file that is neither, and for a device
 * that is mounted: a file system with two mounts that do not know of each other is soon destroyed.
 */
export function readPartitions(image: string): readonly Partition[] {
  let descriptor: number;
  try {
    const stats = statSync(image);
    if (!stats.isFile() && !stats.isBlockDevice())
      throw new VolleyError("USAGE", `${image} is neither a regular file nor a block device`, {
        hint: "name a raw image, or the directory at which the root is mounted",
      });
    // Linux then refuses a device that is mounted, or of which a partition is.
    descriptor = openSync(image, constants.O_RDONLY | (stats.isBlockDevice() ? constants.O_EXCL : 0));
  } catch (thrown) {
    if (thrown instanceof VolleyError) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code === "EBUSY")
      throw new VolleyError("USAGE", `${image} is in use: it is mounted, or a partition of it is`, {
        cause: thrown,
        hint: "name the directory at which it is mounted, or unmount it",
      });
    throw new VolleyError("USAGE", `cannot read ${image}: ${fileReason(thrown)}`, { cause: thrown });
  }
  const read: Read = (offset, bytes) => {
    const buffer = Buffer.alloc(bytes);
    // The bytes behind the end stay zero.
    if (Number.isSafeInteger(offset)) readSync(descriptor, buffer, 0, bytes, offset);
    return buffer;
  };
  try {
    const other = OTHER_FORMATS.find(([, mark]) => has(read, 0, mark));
    if (other !== undefined)
      throw new VolleyError("USAGE", `${image} is ${other[0]}: a raw image is needed`, {
        hint: other[2].replace("FILE", image),
      });
    const whole = contentAt(read, 0);
    // A hybrid ISO has a table, too.
    if (whole !== undefined && whole !== "iso9660")
      return [{ number: 0, offset: 0, size: 0, content: whole }];
    const found = has(read, SECTOR - 2, "\x55\xaa") ? readTable(read) : [];
    if (found.length === 0)
      throw new VolleyError("USAGE", `${image} is no disk image: it has no partitions and no file system`, {
        hint: "name a raw image, or the directory at which the root is mounted",
      });
    return found.map((partition) => ({ ...partition, content: contentAt(read, partition.offset) }));
  } finally {
    closeSync(descriptor);
  }
}

function has(read: Read, offset: number, mark: string): boolean {
  return read(offset, mark.length).toString("latin1") === mark;
}

function contentAt(read: Read, at: number): string | undefined {
  return MARKS.find(([, offset, mark]) => has(read, at + offset, mark))?.[0];
}

type Place = Omit<Partition, "content">;

function readTable(read: Read): readonly Place[] {
  const primary = mbrEntries(read, 0);
  if (primary.some(({ type }) => type === PROTECTIVE)) {
    const sector = GPT_SECTORS.find((size) => has(read, size, "EFI PART"));
    if (sector !== undefined) return readGpt(read, sector);
  }
  return primary
    .filter(({ type }) => type !== 0 && type !== PROTECTIVE)
    .flatMap(({ number, type, start, sectors }) =>
      EXTENDED.has(type)
        ? logicalPartitions(read, start)
        : [{ number, offset: start * SECTOR, size: sectors * SECTOR }],
    )
    .sort((one, other) => one.number - other.number);
}

interface MbrEntry {
  readonly number: number;
  readonly type: number;
  /** In sectors. */
  readonly start: number;
  readonly sectors: number;
}

function mbrEntries(read: Read, sector: number): readonly MbrEntry[] {
  const table = read(sector * SECTOR + 446, 64);
  return [0, 1, 2, 3].map((index) => ({
    number: index + 1,
    type: table[index * 16 + 4]!,
    start: table.readUInt32LE(index * 16 + 8),
    sectors: table.readUInt32LE(index * 16 + 12),
  }));
}

/** Follow the chain of an extended partition: each link has a partition, counted from the link, and the next link. */
function logicalPartitions(read: Read, extended: number): readonly Place[] {
  const found: Place[] = [];
  for (let link = extended; found.length < MAX_PARTITIONS; ) {
    const [partition, next] = mbrEntries(read, link);
    if (partition!.type !== 0)
      found.push({
        number: 5 + found.length,
        offset: (link + partition!.start) * SECTOR,
        size: partition!.sectors * SECTOR,
      });
    if (!EXTENDED.has(next!.type) || next!.start === 0 || partition!.type === 0) break;
    link = extended + next!.start;
  }
  return found;
}

function readGpt(read: Read, sector: number): readonly Place[] {
  const header = read(sector, 92);
  const at = Number(header.readBigUInt64LE(72)) * sector;
  const count = Math.min(header.readUInt32LE(80), MAX_PARTITIONS);
  const size = header.readUInt32LE(84);
  return Array.from({ length: count }, (_, index) => ({ index, entry: read(at + index * size, 48) }))
    .filter(({ entry }) => entry.subarray(0, 16).some((byte) => byte !== 0))
    .map(({ index, entry }) => {
      const first = Number(entry.readBigUInt64LE(32));
      const last = Number(entry.readBigUInt64LE(40));
      return { number: index + 1, offset: first * sector, size: (last - first + 1) * sector };
    });
}
