import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { readFstab, refuseHidden } from "../../src/image/fstab.ts";
import { isRoot, openRoot } from "../../src/image/root.ts";
import { findSubvolume, subvolumesOf } from "../../src/image/subvolumes.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(scratch(), "root-"));
});

function makeRoot(path: string, fstab = ""): string {
  mkdirSync(join(path, "etc"), { recursive: true });
  mkdirSync(join(path, "var"));
  writeFileSync(join(path, "etc/os-release"), "ID=debian\n");
  writeFileSync(join(path, "etc/fstab"), fstab);
  return path;
}

test("the lines of fstab", () => {
  const text =
    "# /var is not here\n\nUUID=1 / ext4 defaults 0 1\n/dev/sda3\t/srv/a\\040b/\text4\nUUID=2 none swap sw 0 0\n";
  expect(readFstab(text).map(({ directory: at, kind }) => [at, kind])).toEqual([
    ["/", "ext4"],
    ["/srv/a b", "ext4"],
  ]);
  const [var_] = readFstab("LABEL=x /var btrfs noatime,subvol=@/var,compress=zstd:1 0 0");
  expect(Object.fromEntries(var_!.options)).toEqual({ noatime: "", subvol: "@/var", compress: "zstd:1" });
});

test.each([
  ["LABEL=var /var ext4 defaults 0 2", "/var"],
  ["LABEL=lib /var/lib/ xfs", "/var/lib"],
  ["LABEL=var /var ext4 noauto", undefined],
  ["LABEL=log /var/log ext4\nLABEL=v /var/libs ext4\nLABEL=root / ext4", undefined],
])("a file below what fstab mounts elsewhere is refused: %s", (fstab, hiding) => {
  const root = openRoot(makeRoot(directory, fstab), "disk.img");
  const look = (): void => refuseHidden(root, "disk.img", "/var/lib/volley");
  if (hiding === undefined) return look();
  expect(look).toThrow(
    expect.objectContaining({
      code: "USAGE",
      message: `disk.img mounts another file system at ${hiding}, which hides /var/lib/volley`,
    }),
  );
});

test.each(["@", "@rootfs", "root"])(
  "the root in a subvolume %s, with the subvolumes of its fstab",
  (name) => {
    mkdirSync(join(directory, "var"));
    mkdirSync(join(directory, "@home"));
    const fstab =
      "LABEL=x /var btrfs subvol=/var\nLABEL=x /var/none btrfs subvol=none\nLABEL=x /var btrfs subvol=../../..\nLABEL=x /var ext4\nLABEL=x / btrfs subvol=@\n";
    const root = makeRoot(join(directory, name), fstab);
    expect(findSubvolume(directory, isRoot)).toBe(root);
    expect(subvolumesOf(root, directory).map(({ subvolume }) => subvolume)).toEqual([
      join(directory, "var"),
      // None leads out of the mounted file system.
      directory,
    ]);
  },
);

test("a file system without a root has none in a subvolume, either", () => {
  mkdirSync(join(directory, "@"));
  expect(findSubvolume(directory, isRoot)).toBeUndefined();
});
