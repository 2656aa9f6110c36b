import { alternatives, filesystem, locale_gen, lvg, lvol, mount, parted, timezone } from "volley";
import type { ActionCase } from "./case.ts";

const installed = (...names: readonly string[]): string =>
  `DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends ${names.join(" ")} >/dev/null 2>&1`;

const settings: readonly ActionCase[] = [
  {
    name: "timezone sets zone and link",
    prepare: `${installed("tzdata")}; ln -sf /usr/share/zoneinfo/Etc/UTC /etc/localtime; echo Etc/UTC > /etc/timezone; timedatectl set-timezone Etc/UTC 2>/dev/null; true`,
    call: timezone({ name: "Europe/Berlin" }),
    verify: "readlink -f /etc/localtime | grep -q Europe/Berlin && date +%Z | grep -q CE",
  },
  {
    name: "locale_gen generates a locale",
    prepare: installed("locales"),
    call: locale_gen({ name: "de_CH.UTF-8" }),
    verify: "locale -a | grep -qx de_CH.utf8",
  },
  {
    name: "locale_gen removes it",
    call: locale_gen({ name: "de_CH.UTF-8", state: "absent" }),
    verify: "! locale -a | grep -qx de_CH.utf8",
  },
  {
    name: "alternatives chooses",
    prepare: "update-alternatives --install /usr/bin/volley-tool volley-tool /bin/true 10 >/dev/null",
    call: alternatives({ name: "volley-tool", path: "/bin/echo" }),
    verify: "volley-tool hello | grep -q hello",
  },
];

const mounts: readonly ActionCase[] = [
  {
    name: "mount mounts, with mount point and line",
    prepare: "umount /srv/t 2>/dev/null; sed -i '\\#/srv/t#d' /etc/fstab; rm -rf /srv/t",
    call: mount({ path: "/srv/t", src: "tmpfs", fstype: "tmpfs", opts: "size=1m", state: "mounted" }),
    verify: "mountpoint -q /srv/t && grep -Fqx 'tmpfs /srv/t tmpfs size=1m 0 0' /etc/fstab",
  },
  {
    name: "mount remounts for other options",
    prepare: "touch /srv/t/kept",
    call: mount({ path: "/srv/t", src: "tmpfs", fstype: "tmpfs", opts: "size=2m", state: "mounted" }),
    verify: "findmnt -no OPTIONS /srv/t | grep -q size=2048k && test -e /srv/t/kept",
  },
  {
    name: "mount writes a line alone",
    call: mount({ path: "/srv/u", src: "tmpfs", fstype: "tmpfs", opts: "size=1m", state: "present" }),
    verify: "grep -q /srv/u /etc/fstab && ! mountpoint -q /srv/u",
  },
  {
    name: "mount binds a directory beside fstab, every time",
    prepare: "umount /srv/b 2>/dev/null; rm -rf /srv/b",
    call: mount({ path: "/srv/b", src: "/srv/t", fstype: "none", opts: "bind", state: "ephemeral" }),
    verify: "test -e /srv/b/kept && ! grep -q /srv/b /etc/fstab",
    again: "changed",
  },
  {
    name: "mount unmounts and leaves fstab",
    prepare: "umount /srv/b",
    call: mount({ path: "/srv/t", state: "unmounted" }),
    verify: "! mountpoint -q /srv/t && grep -q /srv/t /etc/fstab",
  },
  {
    name: "mount removes line, mount and mount point",
    prepare: "mount /srv/t",
    call: mount({ path: "/srv/t", state: "absent" }),
    verify: "! mountpoint -q /srv/t && ! grep -q /srv/t /etc/fstab && test ! -e /srv/t",
  },
];

const DISK = "/dev/volley-disk";
/** Make a loop device on a file; its number is the kernel's choice. */
const DISK_READY = `${installed("e2fsprogs", "util-linux", "parted", "lvm2")}
[ -b ${DISK} ] && losetup -d ${DISK} 2>/dev/null
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
truncate -s 0 /root/disk.img; truncate -s 64M /root/disk.img
free=$(losetup -f) && { [ -e $free ] || mknod $free b 7 \${free#/dev/loop}; } && losetup $free /root/disk.img && ln -sf $free ${DISK}`;
const HAS_LOOP = `[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237; losetup -f >/dev/null`;

const needsLoop = { test: HAS_LOOP, reason: "the kernel has no loop devices" };
const needsMapper = {
  test: `${HAS_LOOP} && grep -q device-mapper /proc/misc`,
  reason: "the kernel has no device mapper",
};

/** The actions on disks. The kernel's loop devices and volume groups are one for all hosts of this machine. */
export const diskCases: readonly ActionCase[] = [
  {
    name: "filesystem makes a file system",
    needs: needsLoop,
    prepare: DISK_READY,
    call: filesystem({ dev: DISK, fstype: "ext4", opts: "-L data" }),
    verify: `test "$(blkid -c /dev/null -o value -s LABEL ${DISK})" = data`,
  },
  {
    name: "filesystem grows it",
    needs: needsLoop,
    prepare: `e2fsck -fy ${DISK} >/dev/null 2>&1; resize2fs ${DISK} 16M >/dev/null 2>&1`,
    call: filesystem({ dev: DISK, fstype: "ext4", resizefs: true }),
    verify: `dumpe2fs -h ${DISK} 2>/dev/null | awk '/^Block count/{c=$3} /^Block size/{s=$3} END{exit c * s != 67108864}'`,
  },
  {
    name: "filesystem sets a UUID",
    needs: needsLoop,
    prepare: `e2fsck -fy ${DISK} >/dev/null 2>&1; true`,
    call: filesystem({ dev: DISK, fstype: "ext4", uuid: "b3e48f45-f933-4c8e-a700-22a159ec9077" }),
    verify: `blkid -c /dev/null ${DISK} | grep -q b3e48f45-f933-4c8e-a700-22a159ec9077`,
  },
  {
    name: "mount mounts a device",
    needs: needsLoop,
    prepare: "rm -rf /srv/disk",
    call: mount({
      path: "/srv/disk",
      src: DISK,
      fstype: "ext4",
      opts: "noatime",
      passno: "2",
      state: "mounted",
    }),
    verify: "findmnt -no FSTYPE /srv/disk | grep -qx ext4 && test -d /srv/disk/lost+found",
  },
  {
    name: "mount takes it away again",
    needs: needsLoop,
    call: mount({ path: "/srv/disk", state: "absent" }),
    verify: "test ! -e /srv/disk",
  },
  {
    name: "filesystem wipes",
    needs: needsLoop,
    call: filesystem({ dev: DISK, state: "absent" }),
    verify: `! blkid -c /dev/null ${DISK}`,
  },
  {
    name: "parted makes a table and a partition",
    prepare: `${installed("parted")}; rm -f /root/parts.img; truncate -s 64M /root/parts.img`,
    call: parted({
      ...{ device: "/root/parts.img", number: 1, state: "present", label: "gpt", name: "first part" },
      ...{ part_start: "1MiB", part_end: "16MiB", flags: ["lvm"], fs_type: "ext4" },
    }),
    verify: "parted -sm /root/parts.img unit MiB print | grep '^1:1.00MiB:16.0MiB:15.0MiB::first part:lvm;'",
  },
  {
    name: "parted makes a second one, to the end",
    call: parted({
      device: "/root/parts.img",
      number: 2,
      state: "present",
      label: "gpt",
      part_start: "16MiB",
    }),
    verify: "parted -sm /root/parts.img print | grep '^2:'",
  },
  {
    name: "parted removes one",
    call: parted({ device: "/root/parts.img", number: 2, state: "absent" }),
    verify: "! parted -sm /root/parts.img print | grep '^2:'",
  },
  {
    name: "parted resizes one and takes its flags away",
    call: parted({
      ...{ device: "/root/parts.img", number: 1, state: "present", label: "gpt", name: "first part" },
      ...{ part_end: "32MiB", resize: true, flags: [] },
    }),
    verify: "parted -sm /root/parts.img unit MiB print | grep '^1:1.00MiB:32.0MiB:31.0MiB::first part:;'",
  },
  {
    name: "lvg makes a group",
    needs: needsLoop,
    prepare: `${DISK_READY}; wipefs -aq ${DISK}`,
    call: lvg({ vg: "volleyvg", pvs: [DISK], pesize: "1" }),
    verify: "vgs --noheadings -o vg_extent_size --units m volleyvg | grep -q 1.00m",
  },
  {
    name: "lvol makes a volume",
    needs: needsMapper,
    call: lvol({ vg: "volleyvg", lv: "v", size: "8m" }),
    verify: "lvs --noheadings -o lv_size --units m volleyvg/v | grep -q 8.00m",
  },
  {
    name: "lvol takes all that is free",
    needs: needsMapper,
    call: lvol({ vg: "volleyvg", lv: "v", size: "100%FREE" }),
    verify: "test $(vgs --noheadings -o vg_free_count volleyvg) = 0",
  },
  {
    name: "lvol removes a volume",
    needs: needsMapper,
    call: lvol({ vg: "volleyvg", lv: "v", state: "absent", force: true }),
    verify: "! lvs volleyvg/v",
  },
  {
    name: "lvg removes a group",
    needs: needsLoop,
    call: lvg({ vg: "volleyvg", state: "absent" }),
    verify: "! vgs volleyvg",
  },
];

/** Gives back what actions on disks leave on the machine itself, whose kernel has the loop devices. */
export const CLEAN_UP = `[ -b ${DISK} ] && { vgremove -f volleyvg 2>/dev/null; losetup -d ${DISK}; }; true`;

/** The storage actions on a real host that need no disk, with others of the system that need one. */
export const cases: readonly ActionCase[] = [...settings, ...mounts];
