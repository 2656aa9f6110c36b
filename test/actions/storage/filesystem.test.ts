import { existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { filesystem } from "../../../src/actions/storage/filesystem.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
let tools: Tools;
const DISK = "/disk.img";
const disk = (): string => join(sandbox.root, DISK);
const MIB = 1024 * 1024;

/** Run a program of the machine on the sandbox's file. */
const real = (path: string): string =>
  `args=; for a; do case $a in ${DISK}) a=$ROOT${DISK};; esac; args="$args $a"; done; exec ${path} $args`;
const TOOLS = {
  blkid: real("/usr/sbin/blkid"),
  "mkfs.ext4": real("/usr/sbin/mkfs.ext4 -q"),
  mkswap: real("/usr/sbin/mkswap"),
  wipefs: real("/usr/sbin/wipefs"),
  dumpe2fs: real("/usr/sbin/dumpe2fs"),
  resize2fs: real("/usr/sbin/resize2fs"),
  swaplabel: real("/usr/sbin/swaplabel"),
};
const HAS_TOOLS = Object.keys(TOOLS).every((name) => existsSync(`/usr/sbin/${name}`));

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(disk(), "");
  truncateSync(disk(), 8 * MIB);
  tools = withTools(sandbox, TOOLS);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof filesystem>[0];
const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (params: Params, check = false) =>
  pass(filesystem(params), tools.system, sandbox.context({ check }));
const probe = async (property: string): Promise<string> =>
  (
    await sandbox.system.query(["/usr/sbin/blkid", "-c", "/dev/null", "-o", "value", "-s", property, disk()])
  ).stdout.trim();

// In a file, by the machine's own programs.
describe.runIf(HAS_TOOLS)("filesystem", () => {
  it("makes one with options, and leaves it then", async () => {
    const { check } = await checkApplyAgain(
      host(),
      filesystem({ dev: DISK, fstype: "ext4", opts: "-L data" }),
    );
    expect(check.change?.diff).toEqual({
      path: "file system of /disk.img",
      attributes: { fstype: ["", "ext4"] },
    });
    expect([await probe("TYPE"), await probe("LABEL")]).toEqual(["ext4", "data"]);
  });

  it("grows one to the size of its device", async () => {
    await run({ dev: DISK, fstype: "ext4" });
    truncateSync(disk(), 16 * MIB);
    expect((await run({ dev: DISK, fstype: "ext4" })).state).toBe("unchanged");
    const { check } = await checkApplyAgain(
      host(),
      filesystem({ dev: DISK, fstype: "ext4", resizefs: true }),
    );
    expect(check.change?.diff).toMatchObject({ attributes: { size: [String(8 * MIB), String(16 * MIB)] } });
  });

  it("does not make one over another, unless by force", async () => {
    await run({ dev: DISK, fstype: "ext4" });
    await expect(run({ dev: DISK, fstype: "swap" })).rejects.toThrow(/'\/disk\.img' is already used as ext4/);
    await checkApplyAgain(host(), filesystem({ dev: DISK, fstype: "swap", force: true }));
    expect(await probe("TYPE")).toBe("swap");
    await expect(run({ dev: DISK, fstype: "swap", resizefs: true })).rejects.toThrow(/cannot be grown/);
  });

  it("makes one with a UUID, and changes it", async () => {
    const uuid = "b3e48f45-f933-4c8e-a700-22a159ec9077";
    await checkApplyAgain(host(), filesystem({ dev: DISK, fstype: "ext4", uuid }));
    expect(await probe("UUID")).toBe(uuid);
    await run({ dev: DISK, fstype: "swap", force: true });
    await checkApplyAgain(host(), filesystem({ dev: DISK, fstype: "swap", uuid }));
    expect(await probe("UUID")).toBe(uuid);
  });

  it("wipes", async () => {
    await run({ dev: DISK, fstype: "ext4" });
    await checkApplyAgain(host(), filesystem({ dev: DISK, state: "absent" }));
    expect(await probe("TYPE")).toBe("");
  });
});

describe("filesystem, without", () => {
  it("a device", async () => {
    expect((await run({ dev: "/dev/none", state: "absent" })).state).toBe("unchanged");
    await expect(run({ dev: "/dev/none", fstype: "ext4" })).rejects.toThrow("Device /dev/none not found.");
    expect((await run({ dev: "/dev/none", fstype: "ext4" }, true)).state).toBe("unknown");
    mkdirSync(join(sandbox.root, "dir"));
    await expect(run({ dev: "/dir", fstype: "ext4" })).rejects.toThrow(/\/dir is a directory/);
  });

  it("its program", async () => {
    const { system } = withTools(sandbox, { blkid: "exit 2", "mkfs.xfs": null });
    const call = filesystem({ dev: DISK, fstype: "xfs" });
    await expect(pass(call, system, sandbox.context())).rejects.toThrow(/package xfsprogs/);
    expect((await pass(call, system, sandbox.context({ check: true }))).state).toBe("unknown");
  });

  it.each<[Params, RegExp]>([
    [{ dev: "/dev/x" }, /missing: fstype/],
    [{ dev: "sdb", fstype: "ext4" }, /absolute path/],
    [{ dev: "/x", fstype: "ext4", resizefs: true, uuid: "random" }, /resizefs or uuid, not both/],
    [{ dev: "/x", fstype: "zfs" } as unknown as Params, /parameter "fstype": must be/],
  ])("good parameters: %j", (params, message) => expect(() => filesystem(params)).toThrow(message));
});

describe("filesystem, on a mounted device that grew", () => {
  it.each([
    [
      "xfs",
      {
        xfs_info: "echo 'data     =                       bsize=4096   blocks=1024, imaxpct=25'",
        xfs_growfs: "touch $ROOT/grown",
      },
      "xfs_growfs /srv/x",
    ],
    [
      "btrfs",
      {
        btrfs: `[ $2 = usage ] && echo '    Device size:   4194304'; [ $2 = resize ] && touch $ROOT/grown; exit 0`,
      },
      "btrfs filesystem resize max /srv/x",
    ],
  ])("grows %s by its mount point", async (fstype, programs, call) => {
    mkdirSync(join(sandbox.root, "proc/self"), { recursive: true });
    const grown = withTools(sandbox, { blkid: `echo ${fstype}`, ...programs });
    const task = filesystem({ dev: DISK, fstype: fstype as "xfs", resizefs: true });
    await expect(pass(task, grown.system, sandbox.context())).rejects.toThrow(/has to be mounted/);
    writeFileSync(join(sandbox.root, "proc/self/mountinfo"), `30 1 7:1 / /srv/x rw - ${fstype} ${DISK} rw\n`);
    const { change } = await pass(task, grown.system, sandbox.context());
    expect(change?.diff).toMatchObject({ attributes: { size: [String(4 * MIB), String(8 * MIB)] } });
    expect(grown.calls().at(-1)).toBe(call);
  });
});
