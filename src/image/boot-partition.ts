import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { printable, VolleyError } from "../core/errors.ts";
import { fileReason, writeReason } from "../core/unix/user-file.ts";
import { makeDirectories } from "../system/directories.ts";
import { readPartitions } from "./partitions.ts";

// The boot partition of a Raspberry Pi, a FAT file system: mounted somewhere, or inside a disk image. Images are written
// by mtools, which needs neither root nor a kernel with FAT.

/** The file that makes a partition the boot partition of a Raspberry Pi. */
export const CMDLINE = "cmdline.txt";

/** A boot partition. Names are relative to its root, with at most one directory. */
export interface BootPartition {
  /** Read a file; undefined where there is none. */
  read(name: string): Buffer | undefined;
  /** Write a file in the place of what is there; the directory above is made. Fails with `FILE_FAILED`. */
  write(name: string, content: Buffer): void;
  /** Remove a file, or a directory with all that it has, if it is there. Fails with `FILE_FAILED`. */
  remove(name: string): void;
}

/**
 * Open the boot partition that is mounted at a directory, or that a disk image or block device has. Fails with `USAGE`
 * where there is no cmdline.txt, and for images where mtools is missing.
 */
export function openBootPartition(target: string): BootPartition {
  let isDirectory: boolean;
  try {
    isDirectory = fs.statSync(target).isDirectory();
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read ${target}: ${fileReason(thrown)}`, { cause: thrown });
  }
  if (!isDirectory) return openImage(target);
  if (!fs.existsSync(join(target, CMDLINE)))
    throw new VolleyError("USAGE", `${target} is no boot partition of a Raspberry Pi: it has no ${CMDLINE}`, {
      hint: "name the directory at which the card's first partition is mounted (bootfs), or a disk image",
    });
  return openMounted(target);
}

function openMounted(directory: string): BootPartition {
  const changing = (name: string, change: () => void): void => {
    try {
      change();
    } catch (thrown) {
      throw new VolleyError("FILE_FAILED", `cannot write ${join(directory, name)}: ${writeReason(thrown)}`, {
        cause: thrown,
      });
    }
  };
  return {
    read(name) {
      try {
        return fs.readFileSync(join(directory, name));
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw new VolleyError("USAGE", `cannot read ${join(directory, name)}: ${fileReason(thrown)}`, {
          cause: thrown,
        });
      }
    },
    write(name, content) {
      const path = join(directory, name);
      changing(name, () => {
        makeDirectories(dirname(path));
        try {
          // On the card before the name: cards are pulled out.
          const file = fs.openSync(`${path}.new`, "w");
          try {
            // All of it: a disk that becomes full ends a single write early, without an error.
            fs.writeFileSync(file, content);
            fs.fsyncSync(file);
          } finally {
            fs.closeSync(file);
          }
          fs.renameSync(`${path}.new`, path);
        } catch (thrown) {
          fs.rmSync(`${path}.new`, { force: true });
          throw thrown;
        }
      });
    },
    remove(name) {
      changing(name, () => fs.rmSync(join(directory, name), { recursive: true, force: true }));
    },
  };
}

/** Find the boot partition of a disk image, and open it. */
function openImage(image: string): BootPartition {
  const partitions = readPartitions(image).filter(({ content }) => content === "vfat");
  const found = partitions
    .map(({ offset }) => openFat(image, offset))
    .find((partition) => partition.read(CMDLINE) !== undefined);
  if (found === undefined)
    throw new VolleyError(
      "USAGE",
      `${image} has no boot partition of a Raspberry Pi: ${partitions.length === 0 ? "no partition of it is FAT" : `no FAT partition of it has a ${CMDLINE}`}`,
    );
  return found;
}

/** Open the FAT file system that begins at an offset of an image. */
function openFat(image: string, offset: number): BootPartition {
  const mtools = (tool: string, args: readonly string[], input?: Buffer): SpawnSyncReturns<Buffer> => {
    const end = spawnSync(tool, ["-i", `${image}@@${offset}`, ...args], {
      // The checks refuse sizes that other programs take; settings of the user's may name other drives.
      env: { ...process.env, LC_ALL: "C", MTOOLS_SKIP_CHECK: "1", MTOOLSRC: "/dev/null" },
      maxBuffer: Number.POSITIVE_INFINITY,
      ...(input === undefined ? {} : { input }),
    });
    if ((end.error as NodeJS.ErrnoException | undefined)?.code === "ENOENT")
      throw new VolleyError("USAGE", `mtools is needed to write into ${image}: ${tool} is missing here`, {
        cause: end.error,
        hint: "install the package mtools, or mount the boot partition and name the directory",
      });
    return end;
  };
  const fail = (name: string, { stderr }: SpawnSyncReturns<Buffer>): never => {
    const reason = printable(stderr.toString().trim().split("\n").at(-1) ?? "");
    throw new VolleyError("FILE_FAILED", `cannot write ${name} into ${image}: ${reason}`);
  };
  const exists = (name: string): boolean => mtools("mdir", ["-b", `::${name}`]).status === 0;
  const read = (name: string): Buffer | undefined => {
    const { status, stdout } = mtools("mtype", [`::${name}`]);
    return status === 0 ? stdout : undefined;
  };
  return {
    read,
    write(name, content) {
      const directory = dirname(name);
      if (directory !== "." && !exists(directory)) {
        const end = mtools("mmd", [`::${directory}`]);
        if (end.status !== 0) fail(directory, end);
      }
      // mcopy ends with 0 on a full disk, too.
      const end = mtools("mcopy", ["-o", "-", `::${name}`], content);
      if (read(name)?.equals(content) !== true) {
        mtools("mdel", [`::${name}`]);
        fail(name, end);
      }
    },
    remove(name) {
      if (!exists(name)) return;
      const end = mtools("mdeltree", [`::${name}`]);
      if (end.status !== 0) fail(name, end);
    },
  };
}
