import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withPartition } from "../../src/image/disk.ts";
import { readPartitions } from "../../src/image/partitions.ts";
import { mbrEntry, mbrTable } from "./mbr.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-partitions-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const MIB = 1 << 20;

/** Make an image of 8 MiB with texts at some offsets. */
function makeImage(name: string, marks: Readonly<Record<number, string | Buffer>>): string {
  const bytes = Buffer.alloc(8 * MIB);
  for (const [offset, mark] of Object.entries(marks))
    Buffer.from(mark as string, "latin1").copy(bytes, Number(offset));
  const file = join(directory, name);
  writeFileSync(file, bytes);
  return file;
}

const EXT4 = "\x53\xef";

test("an MBR: primary and logical partitions, with their contents", () => {
  const image = makeImage("mbr.img", {
    ...mbrTable(0, mbrEntry(0x0c, 2048, 2048), mbrEntry(0x83, 4096, 2048), mbrEntry(0x05, 6144, 6144)),
    ...mbrTable(6144, mbrEntry(0x83, 1024, 1024), mbrEntry(0x05, 2048, 2048)),
    ...mbrTable(6144 + 2048, mbrEntry(0x82, 1024, 512)),
    [2048 * 512 + 0x52]: "FAT32   ",
    [4096 * 512 + 0x438]: EXT4,
    [(6144 + 1024) * 512]: "XFSB",
  });
  expect(readPartitions(image)).toEqual([
    { number: 1, offset: 2048 * 512, size: MIB, content: "vfat" },
    { number: 2, offset: 4096 * 512, size: MIB, content: "ext4" },
    { number: 5, offset: 7168 * 512, size: MIB / 2, content: "xfs" },
    { number: 6, offset: (8192 + 1024) * 512, size: MIB / 4, content: undefined },
  ]);
});

test.each([512, 4096])("a GPT with sectors of %i bytes, whose entries keep their numbers", (sector) => {
  const header = Buffer.alloc(92);
  header.write("EFI PART", "latin1");
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  const partition = (first: number, last: number): Buffer => {
    const bytes = Buffer.alloc(128, 0);
    bytes.fill(7, 0, 32);
    bytes.writeBigUInt64LE(BigInt(first), 32);
    bytes.writeBigUInt64LE(BigInt(last), 40);
    return bytes;
  };
  const [boot, root] = [MIB / sector, (2 * MIB) / sector] as const;
  const image = makeImage(`gpt-${sector}.img`, {
    ...mbrTable(0, mbrEntry(0xee, 1, 0xffffffff)),
    [sector]: header,
    [2 * sector]: partition(root, root + MIB / sector - 1),
    [2 * sector + 14 * 128]: partition(boot, boot + 15),
    [2 * MIB + 0x10040]: "_BHRfS_M",
  });
  expect(readPartitions(image)).toEqual([
    { number: 1, offset: 2 * MIB, size: MIB, content: "btrfs" },
    { number: 15, offset: MIB, size: 16 * sector, content: undefined },
  ]);
});

test("a file system without a table", () => {
  expect(readPartitions(makeImage("bare.img", { 1080: EXT4 }))).toEqual([
    { number: 0, offset: 0, size: 0, content: "ext4" },
  ]);
});

test("an extended partition that leads back to itself ends", () => {
  const image = makeImage("circle.img", {
    ...mbrTable(0, mbrEntry(0x05, 2048, 4096)),
    ...mbrTable(2048, mbrEntry(0x83, 1, 1), mbrEntry(0x05, 0, 1)),
    ...mbrTable(2049, mbrEntry(0x83, 1, 1), mbrEntry(0x05, 1, 1)),
  });
  expect(readPartitions(image)).toHaveLength(1);
  const deep = makeImage("deep.img", {
    ...mbrTable(0, mbrEntry(0x05, 2048, 4096)),
    ...mbrTable(2048, mbrEntry(0x83, 1, 1), mbrEntry(0x05, 1, 1)),
    ...mbrTable(2049, mbrEntry(0x83, 1, 1), mbrEntry(0x05, 1, 1)),
  });
  expect(readPartitions(deep)).toHaveLength(128);
});

describe("what is no raw image gets a line that says what to do", () => {
  test.each([
    ["disk.qcow2", "QFI\xfb", "in QEMU's format qcow2: a raw image is needed", "qemu-img convert -O raw"],
    ["disk.img.xz", "\xfd7zXZ\0", "compressed with xz: a raw image is needed", "unxz "],
  ])("%s", (name, mark, message, hint) => {
    const image = makeImage(name, { 0: mark });
    expect(() => readPartitions(image)).toThrow(
      expect.objectContaining({
        code: "USAGE",
        message: `${image} is ${message}`,
        hint: expect.stringContaining(hint),
      }),
    );
  });
  test("FIFOs and devices without blocks, of which nothing is read", () => {
    const fifo = join(directory, "fifo");
    execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", fifo]);
    for (const file of [fifo, "/dev/zero"])
      expect(() => readPartitions(file)).toThrow("is neither a regular file nor a block device");
  });

  test("zeros, and no file", () => {
    expect(() => readPartitions(makeImage("zeros.img", {}))).toThrow(
      "zeros.img is no disk image: it has no partitions and no file system",
    );
    expect(() => readPartitions(join(directory, "nothing.img"))).toThrow("there is no such file");
  });
});

describe("the wanted partition", () => {
  const wish = {
    readOnly: true,
    kinds: ["ext4"],
    isWanted: () => true,
    wanted: "root of a system",
  };
  const work = (): never => {
    throw new Error("nothing is to be mounted");
  };
  test.skipIf(process.getuid?.() === 0)("for another user than root", async () => {
    const image = makeImage("others.img", { 1080: EXT4 });
    await expect(withPartition(image, wish, work)).rejects.toMatchObject({
      code: "USAGE",
      message: `only root on Linux can look into ${image}`,
    });
  });
  test.skipIf(process.getuid?.() !== 0)("for root, where there is none", async () => {
    const image = makeImage("closed.img", {
      ...mbrTable(0, mbrEntry(0x0c, 2048, 2048), mbrEntry(0x83, 4096, 2048)),
      [4096 * 512]: "LUKS\xba\xbe",
    });
    await expect(withPartition(image, wish, work)).rejects.toMatchObject({
      code: "USAGE",
      message: `no partition of ${image} is the root of a system; partition 2 is encrypted: open it with cryptsetup, and mount what it holds`,
      hint: expect.stringContaining("it has partition 1 (unknown), partition 2 (crypto_LUKS)"),
    });
    await expect(withPartition(image, { ...wish, partition: 3 }, work)).rejects.toThrow("has no partition 3");
    await expect(withPartition(image, { ...wish, partition: 2 }, work)).rejects.toThrow("partition 2 of");
  });
});
