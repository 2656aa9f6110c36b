import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { mount } from "../../../src/actions/storage/mount.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;
const at = (path: string): string => join(sandbox.root, path);
const put = (path: string, text: string): void => {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
};
const fstab = (): string => readFileSync(at("etc/fstab"), "utf8");
const mounted = (path: string, source = "/dev/sdb1"): string =>
  `30 1 8:17 / ${path} rw,relatime shared:1 - ext4 ${source} rw\n`;

const FSTAB = `# /etc/fstab: static file system information.
UUID=1234-5678\t/\text4\terrors=remount-ro\t0\t1
/dev/sdb1 /srv/data ext4 noatime 0 2
LABEL=old\\040disk /mnt/with\\040space vfat defaults 0 0
/dev/sda2 none swap sw 0 0
`;

/** Keep the list of mounts as the kernel does; a remount of /srv/stubborn and a mount of /dev/broken fail. */
const TOOLS = {
  mount: `for last; do path=$last; done
case "$*" in *remount*) [ $path != /srv/stubborn ]; exit;; esac
grep -qs "/dev/broken $path " $ROOT/etc/fstab && { echo "mount: $path: can't find /dev/broken" >&2; exit 32; }
[ $# -gt 1 ] && [ "$1" != -T ] && source=$(eval echo "\\\${$(($#-1))}") || source=$(awk -v p=$path '$2 == p {print $1}' $ROOT/etc/fstab)
echo "40 1 8:17 / $path rw - ext4 $source rw" >> $ROOT/proc/self/mountinfo`,
  umount: `sed -i "\\# / $1 #d" $ROOT/proc/self/mountinfo`,
  rmdir: `rmdir "$ROOT$1"`,
};

beforeEach(() => {
  sandbox = makeSandbox();
  put("etc/fstab", FSTAB);
  put("proc/self/mountinfo", "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
  tools = withTools(sandbox, TOOLS);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof mount>[0];
const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (params: Params, check = false) => pass(mount(params), tools.system, sandbox.context({ check }));

describe("mount, in fstab", () => {
  it.each<[string, Params, (before: string) => string]>([
    [
      "adds a line at the end",
      { path: "/mnt/x y", src: "server:/a\tb", fstype: "nfs", opts: "ro", state: "present" },
      (text) => `${text}server:/a\\011b /mnt/x\\040y nfs ro 0 0\n`,
    ],
    [
      "changes a line in its place",
      { path: "/srv/data/", src: "/dev/sdb1", fstype: "ext4", passno: "1", state: "present" },
      (text) => text.replace("ext4 noatime 0 2", "ext4 defaults 0 1"),
    ],
    [
      "adds noauto",
      {
        path: "/srv/data",
        src: "/dev/sdb1",
        fstype: "ext4",
        opts: "noatime",
        passno: "2",
        boot: false,
        state: "present",
      },
      (text) => text.replace("noatime 0 2", "noatime,noauto 0 2"),
    ],
    [
      "adds no noauto to the options defaults, as Ansible",
      { path: "/mnt/x", src: "tmpfs", fstype: "tmpfs", boot: false, state: "present" },
      (text) => `${text}tmpfs /mnt/x tmpfs defaults 0 0\n`,
    ],
    [
      "tells swap spaces apart by their sources",
      { path: "none", src: "/swapfile", fstype: "swap", opts: "sw", state: "present" },
      (text) => `${text}/swapfile none swap sw 0 0\n`,
    ],
    [
      "removes swap space",
      { path: "none", src: "/dev/sda2", state: "absent" },
      (text) => text.replace(/.*swap sw.*\n/, ""),
    ],
    [
      "removes a line whose mount point has a space",
      { path: "/mnt/with space", state: "absent_from_fstab" },
      (text) => text.replace(/LABEL=old.*\n/, ""),
    ],
  ])("%s and leaves the rest", async (_what, params, edited) => {
    const { check } = await checkApplyAgain(host(), mount(params));
    expect(fstab()).toBe(edited(FSTAB));
    expect(check.change?.diff).toEqual([{ path: "/etc/fstab", before: FSTAB, after: edited(FSTAB) }]);
    expect(tools.calls()).toEqual([]);
  });

  it.each<[string, Params]>([
    [
      "a line with tabs",
      {
        path: "/",
        src: "UUID=1234-5678",
        fstype: "ext4",
        opts: "errors=remount-ro",
        passno: "1",
        state: "present",
      },
    ],
    ["what is absent", { path: "/mnt/none", state: "absent" }],
    [
      "an escaped source",
      { path: "/mnt/with space", src: "LABEL=old disk", fstype: "vfat", state: "present" },
    ],
  ])("leaves %s", async (_what, params) => {
    expect((await run(params)).state).toBe("unchanged");
    expect(fstab()).toBe(FSTAB);
  });

  it("makes a file of its own with mode 0644, and keeps copies", async () => {
    const params = {
      path: "/mnt/x",
      src: "tmpfs",
      fstype: "tmpfs",
      state: "present",
      fstab: "/etc/other",
    } as const;
    await checkApplyAgain(host(), mount(params));
    expect(readFileSync(at("etc/other"), "utf8")).toBe("tmpfs /mnt/x tmpfs defaults 0 0\n");
    expect(statSync(at("etc/other")).mode & 0o777).toBe(0o644);
    const { data } = await run({ ...params, opts: "size=1m", backup: true });
    expect(data).toMatchObject({
      name: "/mnt/x",
      src: "tmpfs",
      fstype: "tmpfs",
      opts: "size=1m",
      boot: "yes",
    });
    expect(readFileSync(at(data?.backup_file ?? ""), "utf8")).toContain("defaults");
  });

  it("keeps options out of the diff when asked", async () => {
    const params = {
      path: "/mnt/x",
      src: "//s/x",
      fstype: "cifs",
      opts: "password=x",
      opts_no_log: true,
    } as const;
    const { change } = await run({ ...params, state: "present" }, true);
    expect(JSON.stringify(change?.diff)).not.toContain("password");
  });
});

describe("mount, now", () => {
  it("mounts, with mount point and line", async () => {
    await checkApplyAgain(
      host(),
      mount({ path: "/srv/a/b", src: "/dev/sdc1", fstype: "xfs", state: "mounted" }),
    );
    expect(statSync(at("srv/a/b")).isDirectory()).toBe(true);
    expect(fstab()).toBe(`${FSTAB}/dev/sdc1 /srv/a/b xfs defaults 0 0\n`);
    expect(tools.calls()).toEqual(["mount /srv/a/b"]);
  });

  it("mounts what is in fstab already", async () => {
    await checkApplyAgain(
      host(),
      mount({
        path: "/srv/data",
        src: "/dev/sdb1",
        fstype: "ext4",
        opts: "noatime",
        passno: "2",
        state: "mounted",
      }),
    );
    expect(fstab()).toBe(FSTAB);
  });

  it("leaves everything as it was when mounting fails", async () => {
    const call = { path: "/srv/a/b", src: "/dev/broken", fstype: "xfs", state: "mounted" } as const;
    await expect(run(call)).rejects.toThrow(/^Error mounting \/srv\/a\/b: mount: .*can't find/);
    expect(fstab()).toBe(FSTAB);
    expect(existsSync(at("srv"))).toBe(false);
  });

  it.each([
    ["remounts for other options", "/srv/data", "/dev/sdb1", ["mount -o remount /srv/data"]],
    ["unmounts for another device", "/srv/data", "/dev/sdz1", ["umount /srv/data", "mount /srv/data"]],
    [
      "unmounts what cannot be remounted",
      "/srv/stubborn",
      "/dev/sdb1",
      ["mount -o remount /srv/stubborn", "umount /srv/stubborn", "mount /srv/stubborn"],
    ],
  ])("%s", async (_what, path, src, calls) => {
    put("proc/self/mountinfo", mounted(path));
    await checkApplyAgain(host(), mount({ path, src, fstype: "ext4", opts: "ro", state: "mounted" }));
    expect(tools.calls()).toEqual(calls);
  });

  it("unmounts and leaves fstab", async () => {
    put("proc/self/mountinfo", mounted("/srv/data"));
    await checkApplyAgain(host(), mount({ path: "/srv/data", state: "unmounted" }));
    expect(tools.calls()).toEqual(["umount /srv/data"]);
    expect(fstab()).toBe(FSTAB);
  });

  it("removes line, mount and mount point", async () => {
    mkdirSync(at("srv/data"), { recursive: true });
    put("proc/self/mountinfo", mounted("/srv/data"));
    await checkApplyAgain(host(), mount({ path: "/srv/data", state: "absent" }));
    expect(tools.calls()).toEqual(["umount /srv/data", "rmdir /srv/data"]);
    expect(existsSync(at("srv/data"))).toBe(false);
  });

  it("keeps a mount point that is not empty", async () => {
    put("srv/data/kept", "");
    await expect(run({ path: "/srv/data", state: "absent" })).rejects.toThrow(/^Error rmdir \/srv\/data/);
    expect(existsSync(at("srv/data/kept"))).toBe(true);
  });

  it("mounts beside fstab, every time", async () => {
    const params = {
      path: "/mnt/e",
      src: "/dev/sdc1",
      fstype: "ext4",
      opts: "ro",
      state: "ephemeral",
    } as const;
    expect((await run(params)).state).toBe("changed");
    expect((await run(params)).state).toBe("changed");
    expect(tools.calls()).toEqual([
      "mount -t ext4 -o ro /dev/sdc1 /mnt/e",
      "mount -t ext4 -o remount,ro /dev/sdc1 /mnt/e",
    ]);
    expect(fstab()).toBe(FSTAB);
    await expect(run({ ...params, src: "/dev/sdd1" })).rejects.toThrow(
      /\/dev\/sdc1 is mounted on \/mnt\/e already/,
    );
  });

  it("remounts, every time", async () => {
    put("proc/self/mountinfo", mounted("/srv/data"));
    expect((await run({ path: "/srv/data", opts: "ro", state: "remounted" })).state).toBe("changed");
    expect((await run({ path: "/srv/data", state: "remounted" })).state).toBe("changed");
    expect(tools.calls()).toEqual(["mount -o remount,ro /srv/data", "mount -o remount /srv/data"]);
  });

  it("knows the file of a loop device, a bind mount and a UUID", async () => {
    put("sys/block/loop0/loop/backing_file", "/disk.img\n");
    put("disk.img", "");
    put("dev/sdb1", "");
    mkdirSync(at("srv/data"), { recursive: true });
    put(
      "proc/self/mountinfo",
      `20 1 8:1 / / rw - ext4 /dev/sda1 rw\n${mounted("/mnt/loop", "/dev/loop0")}31 1 8:1 /srv/data /mnt/bind rw - ext4 /dev/sda1 rw\n`,
    );
    for (const [path, src] of [
      ["/mnt/loop", "/disk.img"],
      ["/mnt/bind", "/srv/data"],
    ] as const)
      expect((await run({ path, src, fstype: "none", state: "ephemeral" }, true)).state).toBe("changed");
    await expect(
      run({ path: "/mnt/bind", src: "/srv", fstype: "none", state: "ephemeral" }, true),
    ).rejects.toThrow(/already/);
  });
});

describe("mount's parameters", () => {
  it.each<[Params, RegExp]>([
    [{ path: "/x", state: "mounted" }, /missing: src, fstype/],
    [{ path: "none", src: "/s", fstype: "swap", state: "mounted" }, /swap space is not mounted/],
    [{ path: "relative", state: "absent" }, /must be an absolute path/],
    [{ path: "/x" } as Params, /parameter "state" is required/],
  ])("refuses %j", (params, message) => expect(() => mount(params)).toThrow(message));
});
