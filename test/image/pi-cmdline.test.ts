import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { addFirstRun, FIRST_RUN, removeFirstRun, sedToRemove } from "../../src/image/pi-cmdline.ts";

const STOCK =
  "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait";
const IMAGER =
  " systemd.run=/boot/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target";

/** Let sed remove the line, as the script does on the machine. */
function sed(expression: string, input: Buffer): Buffer {
  const { stdout, status } = spawnSync("sed", ["-e", expression], { input });
  expect(status).toBe(0);
  return stdout;
}

describe("the line in cmdline.txt", () => {
  it.each([
    ["a line that ends with a newline", `${STOCK}\n`],
    ["a line without a newline", STOCK],
    ["a line that ends as in Windows", `${STOCK} quiet\r\n`],
    ["blanks at the end", `${STOCK}  \n`],
    ["an empty file", ""],
    ["a second line", `${STOCK}\n# mine\n`],
    ["bytes that are no UTF-8", Buffer.from(`${STOCK} name=\xe4\n`, "latin1")],
    ["Imager's line", `${STOCK}${IMAGER}\n`],
    ["Imager's line before another setting", `${STOCK}${IMAGER} cfg80211.ieee80211_regdom=DE\n`],
    ["a success action of another's", `${STOCK} systemd.run_success_action=none systemd.run=/x\n`],
  ])("%s: is added on the first line, and taken away with no other byte changed", (_name, text) => {
    const before = Buffer.from(text as string);
    const { content, added } = addFirstRun(before);
    expect(content.length).toBe(before.length + added.length);
    expect(content.toString("latin1").split(/\r?\n/)[0]).toContain(added);
    expect(removeFirstRun(content)).toEqual(before);
    expect(sed(sedToRemove(added), content)).toEqual(before);
  });

  it("has the script run, and the machine restart then", () => {
    expect(addFirstRun(Buffer.from("quiet\n")).content.toString()).toBe(
      `quiet systemd.run="/bin/sh -c 'cd /boot; [ -e ${FIRST_RUN} ] || cd firmware; exec sh ./${FIRST_RUN}'"${" systemd.run_success_action=reboot systemd.unit=kernel-command-line.target"}\n`,
    );
  });

  it("is added once, however often", () => {
    const once = addFirstRun(Buffer.from(`${STOCK}\n`));
    expect(addFirstRun(once.content)).toEqual(once);
  });

  it("stands before Imager's, which sets all the rest and stays as it is", () => {
    const { content, added } = addFirstRun(Buffer.from(`${STOCK}${IMAGER}\n`));
    expect(content.toString()).toBe(`${STOCK}${added}${IMAGER}\n`);
    expect(added).not.toContain("systemd.unit");
  });

  it("is taken away after Raspberry Pi OS has edited the file", () => {
    const { content, added } = addFirstRun(
      Buffer.from(`${STOCK} quiet init=/usr/lib/raspberrypi-sys-mods/firstboot${IMAGER}\n`),
    );
    // The edits of its firstboot and its imager_fixup.
    const edited = content
      .toString()
      .replace(" init=/usr/lib/raspberrypi-sys-mods/firstboot", "")
      .replaceAll(" quiet", "")
      .replace("4e639091", "0badcafe")
      .replaceAll("/boot/", "/boot/firmware/");
    expect(sed(sedToRemove(added), Buffer.from(edited)).toString()).toBe(
      `${STOCK.replace("4e639091", "0badcafe")}${IMAGER.replace("/boot/", "/boot/firmware/")}\n`,
    );
  });
});
