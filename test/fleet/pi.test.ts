import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CMDLINE, openBootPartition } from "../../src/image/boot-partition.ts";
import { makePayload } from "../../src/image/payload.ts";
import { preparePi } from "../../src/image/pi.ts";
import { makeKeyring } from "../bundle/signing/lib.ts";
import { makeProject, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { hasMtools, makeFatImage } from "../image/fat.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { fleetAvailable } from "./lib/requirements.ts";

// Machines that start as a Raspberry Pi does: cmdline.txt of the boot partition gives systemd's arguments at each start.
// The partition is written as a FAT image, and its files are then put where a Raspberry Pi mounts it: not every kernel
// that tests run on can mount FAT.

const STOCK =
  "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait";
const IMAGER =
  " systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target";
/** The end of Raspberry Pi Imager's script, after its settings. */
const FIRSTRUN = `#!/bin/bash
set +e
[ -e /var/lib/volley/first-boot/site.run ] && echo after >/etc/imager
rm -f /boot/firstrun.sh
sed -i 's| systemd.run.*||g' /boot/cmdline.txt
exit 0
`;

/** The machines: the place of the boot partition, and its files before. */
const machines = {
  fleet1: { place: "boot/firmware", files: { [CMDLINE]: `${STOCK}\n`, "config.txt": "arm_64bit=1\n" } },
  fleet2: { place: "boot", files: { [CMDLINE]: `${STOCK}${IMAGER}\n`, "firstrun.sh": FIRSTRUN } },
} as const;

const site = playbookText(`{ name: "First boot", hosts: "all", tasks: ({ task, host }) => {
  task("Say who this is", copy({ content: "I am " + host.name + "\\n", dest: "/etc/provisioned" }));
} }`);

/** The arguments for systemd of a kernel's command line, with the quotation marks as they are there. */
function systemdArguments(cmdline: string): readonly string[] {
  const words = cmdline.trim().match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  return words.filter((word) => word.startsWith("systemd."));
}

describe.skipIf(!fleetAvailable() || !hasMtools)("a Raspberry Pi at its first boot", () => {
  const scratch = scratchDirectory();
  let fleet: Fleet;
  const placeOf = (root: string): string =>
    existsSync(join(root, "boot/firmware")) ? join(root, "boot/firmware") : join(root, "boot");

  beforeAll(async () => {
    const project = makeProject(scratch(), { "site.ts": site });
    const key = makeKeyring(scratch()).make("alice");
    const images: Record<string, string> = {};
    for (const [name, { files }] of Object.entries(machines)) {
      const image = makeFatImage(join(scratch(), `${name}.img`), files);
      const payload = await makePayload({
        ...{ playbook: "site.ts", cwd: project.directory, signing: { key } },
        ...{ inventory: ["fleet1,fleet2,"], limit: name },
      });
      const { hasOther } = preparePi(openBootPartition(image), payload, false);
      expect(hasOther).toBe(name === "fleet2");
      images[name] = image;
    }
    fleet = await bootFleet({
      count: 2,
      prepare(root, name) {
        const place = join(root, machines[name as keyof typeof machines].place);
        rmSync(place, { recursive: true, force: true });
        mkdirSync(place, { recursive: true });
        execFileSync("mcopy", ["-s", "-n", "-i", images[name]!, "::", place]);
        // A mounted FAT file system gives all files one mode.
        execFileSync("chmod", ["-R", "755", place]);
      },
      bootArguments: (root) => systemdArguments(readFileSync(join(placeOf(root), CMDLINE), "utf8")),
    });
  });
  afterAll(() => fleet?.stop());

  it.each([
    ["with the partition at /boot/firmware", 0, ["cmdline.txt", "config.txt"]],
    ["with the partition at /boot, and Imager's first run", 1, ["cmdline.txt"]],
  ] as const)(
    "%s: restarts, provisions itself, and has the partition as it was",
    async (_name, index, left) => {
      const { name, root, bootCount } = fleet.hosts[index]!;
      expect(bootCount).toBe(2);
      expect(readFileSync(join(root, "etc/provisioned"), "utf8")).toBe(`I am ${name}\n`);
      expect(readFileSync(join(placeOf(root), CMDLINE), "utf8")).toBe(`${STOCK}\n`);
      expect(readdirSync(placeOf(root)).sort()).toEqual(left);
      const modes = ["", "site.run", "run.sh", "allowed_signers", "result.jsonl", "done"].map((file) =>
        (statSync(join(root, "var/lib/volley/first-boot", file)).mode & 0o777).toString(8),
      );
      expect(modes).toEqual(["700", "600", "700", "600", "600", "600"]);
    },
  );

  it("lets Imager's script run, after the payload has left the partition", () => {
    expect(readFileSync(join(fleet.hosts[1]!.root, "etc/imager"), "utf8")).toBe("after\n");
  });
});
