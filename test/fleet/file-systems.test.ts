import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ROOT_KINDS, withPartition } from "../../src/image/disk.ts";
import { isRoot } from "../../src/image/root.ts";

// Disk images with each of the file systems that this kernel mounts, and whose tools are here. Mounting takes root.

let scratch: string;
let image: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "volley-file-systems-"));
  image = join(scratch, "disk.img");
});
afterEach(() => rmSync(scratch, { recursive: true }));

const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: "pipe" });
};
const isRootUser = process.getuid?.() === 0;
const isMountable = (kind: string): boolean =>
  new RegExp(`\t${kind}$`, "m").test(readFileSync("/proc/filesystems", "utf8"));
const hasTools = (kind: string): boolean =>
  isRootUser && spawnSync(`mkfs.${kind}`, ["-V"]).error === undefined;

/** Make an image with a file system. */
function makeImage(kind: string): void {
  run("truncate", "-s", "320M", image);
  run(`mkfs.${kind}`, "-q", image);
}

/** Change the image while it is mounted. */
function change(work: (mounted: string) => void): void {
  const mounted = join(scratch, "mounted");
  mkdirSync(mounted, { recursive: true });
  run("mount", "-o", "loop", image, mounted);
  try {
    work(mounted);
  } finally {
    run("umount", mounted);
  }
}

function makeRoot(path: string, fstab = ""): void {
  for (const directory of ["etc", "var"]) mkdirSync(join(path, directory), { recursive: true });
  writeFileSync(join(path, "etc/os-release"), "ID=debian\n");
  writeFileSync(join(path, "etc/fstab"), fstab);
}

const look = <Value>(readOnly: boolean, work: (root: string) => Value): Promise<Value> =>
  withPartition(image, { readOnly, kinds: ROOT_KINDS, isWanted: isRoot, wanted: "root of a system" }, work);

test.skipIf(!hasTools("ext4") || !isMountable("ext4"))(
  "an image that a killed process has left mounted is told of, with the command that unmounts it (skipped: no ext4 here)",
  async () => {
    makeImage("ext4");
    const mounted = join(scratch, "mounted");
    mkdirSync(mounted);
    run("mount", "-o", "loop,offset=0", image, mounted);
    try {
      await expect(look(true, () => {})).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringContaining(`cannot mount the file system of ${image}: `),
        hint: `unless a process still uses it: umount ${mounted}`,
      });
    } finally {
      run("umount", mounted);
    }
    change((root) => makeRoot(root));
    expect(await look(true, isRoot)).toBe(true);
  },
);

for (const kind of ["ext4", "xfs", "btrfs", "f2fs"]) {
  test.skipIf(!hasTools(kind) || !isMountable(kind))(
    `a root of ${kind} that lost its power can be looked at, and written (skipped: no tools, or another kernel)`,
    async () => {
      const dirty = join(scratch, "dirty.img");
      makeImage(kind);
      change((mounted) => makeRoot(mounted));
      // The last changes are in the journal alone.
      change((mounted) => {
        for (const name of ["a", "b", "c"]) {
          writeFileSync(join(mounted, "etc", name), name);
          run("sync", join(mounted, "etc", name));
        }
        copyFileSync(image, dirty);
      });
      copyFileSync(dirty, image);
      expect(await look(true, (root) => existsSync(join(root, "etc/os-release")))).toBe(true);
      await look(false, (root) => writeFileSync(join(root, "var/here"), "here"));
      expect(await look(true, (root) => readFileSync(join(root, "var/here"), "utf8"))).toBe("here");
    },
  );

  test.skipIf(!hasTools(kind) || isMountable(kind))(
    `this kernel has no ${kind}, and says so (skipped: no tools, or the kernel has it)`,
    async () => {
      makeImage(kind);
      await expect(look(true, () => {})).rejects.toMatchObject({
        code: "USAGE",
        message: `cannot mount the file system of ${image}: the kernel of this machine has no ${kind}`,
      });
    },
  );
}

test.skipIf(!hasTools("btrfs") || !isMountable("btrfs"))(
  "the root may be a subvolume, and /var another one (skipped: no btrfs here)",
  async () => {
    makeImage("btrfs");
    change((mounted) => {
      for (const name of ["root", "var", "home"])
        run("btrfs", "-q", "subvolume", "create", join(mounted, name));
      makeRoot(join(mounted, "root"), "LABEL=x / btrfs subvol=root\nLABEL=x /var btrfs subvol=var\n");
    });
    await look(false, (root) => writeFileSync(join(root, "var/here"), "here"));
    await withPartition(
      image,
      { readOnly: true, kinds: ROOT_KINDS, isWanted: (path) => !path.endsWith("root"), wanted: "top" },
      (top) => {
        expect(existsSync(join(top, "root/var/here"))).toBe(false);
        expect(readFileSync(join(top, "var/here"), "utf8")).toBe("here");
      },
    );
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain("volley-image-");
  },
);
