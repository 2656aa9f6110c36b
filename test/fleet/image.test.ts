import { execFileSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { makeKeyring } from "../bundle/signing/lib.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { makeProject, playbookText } from "../e2e/lib/project.ts";
import { keepSmallRuntime } from "../e2e/lib/runtimes.ts";
import { mbrEntry, mbrTable } from "../image/mbr.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { fleetAvailable } from "./lib/requirements.ts";

// A disk image of Debian without Node, which gets a signed bundle and this process's Node, and boots.

const SECTOR = 512;
const ROOT_START = 4096;
const ROOT_SECTORS = (1 << 30) / SECTOR;
/** Parts of the tree that the machine does without: the image is made sooner. */
const LEFT_OUT = [
  ...["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"],
  ...["usr/lib/git-core", "usr/lib/python3.11", "usr/share/perl"],
];

const site = playbookText(`{ name: "First boot", hosts: "all", tasks: ({ task, host }) => {
  task("Say who this is", copy({ content: "I am " + host.name + "\\n", dest: "/etc/provisioned" }));
  task("Count", shell("echo once >>/etc/counted"));
} }`);

describe.skipIf(!fleetAvailable())("a disk image whose machine provisions itself", () => {
  let scratch: string;
  let image: string;
  let playbook: string;
  let fleet: Fleet;
  let host: FleetHost;
  let installed: Awaited<ReturnType<typeof volley>>;
  const volley = (...args: readonly string[]) => volleyHere(args, { cwd: scratch });
  const mount = (root: string): void =>
    void execFileSync("mount", ["-o", `loop,offset=${ROOT_START * SECTOR}`, image, root]);

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), "volley-image-test-"));
    vi.stubEnv("XDG_CACHE_HOME", join(scratch, "cache"));
    image = join(scratch, "disk.img");
    await keepSmallRuntime({ program: readFileSync(process.execPath) });
    playbook = makeProject(scratch, { "site.ts": site }).path("site.ts");
    const key = makeKeyring(scratch).make("alice");
    fleet = await bootFleet({
      count: 1,
      withoutNode: [1],
      async prepare(root) {
        for (const name of LEFT_OUT) rmSync(join(root, name), { recursive: true, force: true });
        makeDisk(root);
        installed = await volley(
          "image",
          "install",
          image,
          playbook,
          "-i",
          "fleet1,",
          "-l",
          "fleet1",
          "--sign",
          key,
        );
        // The machine's root is the image's from here on, and no longer the tree.
        mount(root);
      },
    });
    host = fleet.hosts[0]!;
  });
  afterAll(async () => {
    await fleet?.stop();
    vi.unstubAllEnvs();
    rmSync(scratch, { recursive: true, force: true });
  });

  /** Write an image with a small partition in front of the root's. */
  function makeDisk(root: string): void {
    const disk = openSync(image, "w");
    const table = mbrTable(0, mbrEntry(0x0c, 2048, 2048), mbrEntry(0x83, ROOT_START, ROOT_SECTORS));
    for (const [offset, bytes] of Object.entries(table)) {
      const content = Buffer.from(bytes as string, "latin1");
      writeSync(disk, content, 0, content.length, Number(offset));
    }
    closeSync(disk);
    truncateSync(image, (ROOT_START + ROOT_SECTORS) * SECTOR);
    const features = [
      "-O",
      "^has_journal",
      "-E",
      `offset=${ROOT_START * SECTOR},lazy_itable_init=1`,
      "-m",
      "0",
    ];
    const size = `${(ROOT_SECTORS * SECTOR) >> 10}k`;
    execFileSync("mkfs.ext4", ["-q", "-F", ...features, "-d", root, image, size]);
  }

  it("gets the bundle with Node into the partition with the root, and nothing stays mounted", () => {
    expect(installed).toMatchObject({ code: 0, stderr: "" });
    expect(installed.stdout).toContain(`${image}: fleet1 provisions itself at its first boot (systemd)\n`);
    expect(installed.stdout).toMatch(/; signed; Node for \S+ goes along\n/);
    expect(readFileSync("/proc/mounts", "utf8")).not.toContain("/volley-image-");
  });

  it("is refused where it has no room for the bundle, and for Node unpacked", async () => {
    const small = join(scratch, "small.img");
    const tree = join(scratch, "tree");
    for (const [name, from] of [
      ["etc/os-release", "/etc/os-release"],
      ["usr/lib/systemd/systemd", "/bin/sh"],
    ] as const) {
      mkdirSync(join(tree, name, ".."), { recursive: true });
      copyFileSync(from, join(tree, name));
    }
    execFileSync("mkfs.ext4", ["-q", "-F", "-O", "^has_journal", "-d", tree, small, "16m"]);
    const options = ["-i", "fleet1,", "-l", "fleet1", "--unsigned"];
    expect(await volley("image", "install", small, playbook, ...options)).toMatchObject({
      stdout: "",
      stderr: expect.stringMatching(
        /^volley: \S+small\.img has no room: it needs \d\d MiB for the bundle and \d\d MiB to unpack Node at the first boot; 1\d MiB are free \(.*nothing was written\)\n$/,
      ),
    });
    expect((await volley("image", "result", small)).stderr).toContain("has no bundle for its first boot");
  });

  it("is provisioned at the first boot, and untouched at the second", async () => {
    const read = async (path: string): Promise<string> => (await host.exec(["cat", path])).stdout;
    expect(await read("/etc/provisioned")).toBe("I am fleet1\n");
    const journal = await host.exec(["journalctl", "--unit=volley-first-boot", "--output=cat"]);
    expect(journal.stdout).toMatch(
      /signed by volley with ED25519 key (?:.*\n)+volley: this machine is provisioned\n/,
    );
    await host.reboot();
    expect(await read("/etc/counted")).toBe("once\n");
    expect((await host.exec(["systemctl", "--failed", "--no-legend"])).stdout).toBe("");
  });

  it("tells its result from the mounted root, and from the image once the machine is off", async () => {
    const expected = {
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(
        /\nfleet1: 2 total actions in [^\n]*: 0 unchanged, 2 changed, [^\n]*\nfleet1 is provisioned, /,
      ),
    };
    expect(await volley("image", "result", host.root)).toMatchObject(expected);
    await host.stop();
    // The mount may live on in the namespaces of other machines: look at a copy, taken while nothing is written.
    const copy = `${image}.copy`;
    execFileSync("sh", [
      ...["-c", 'fsfreeze -f "$1" && { cp --sparse=always "$2" "$3"; s=$?; fsfreeze -u "$1"; exit $s; }'],
      ...["sh", host.root, image, copy],
    ]);
    expect(await volley("image", "result", copy)).toMatchObject(expected);
  });

  it("refuses a bundle in which a byte was changed, and starts nothing of it", async () => {
    const place = join(host.root, "var/lib/volley/first-boot");
    const state = join(place, readdirSync(place)[0]!);
    rmSync(join(state, "done"));
    rmSync(join(host.root, "etc/counted"));
    const bytes = readFileSync(join(state, "site.run"));
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(join(state, "site.run"), bytes);
    await host.start();
    expect((await host.exec(["systemctl", "--failed", "--no-legend"])).stdout).toContain(
      "volley-first-boot.service",
    );
    expect((await host.exec(["ls", "/etc/counted"])).code).not.toBe(0);
    const told = await volley("image", "result", host.root);
    expect(told.code).toBe(2);
    expect(told.stdout).toContain("site.run was changed after it was signed");
    expect(told.stdout).toContain("fleet1 is not provisioned");
  });
});
