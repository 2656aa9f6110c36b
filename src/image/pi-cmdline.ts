// The line of cmdline.txt, the kernel's command line of a Raspberry Pi, that has systemd run a script at the next start
// instead of the system, and then restart the machine.

/** The script's name on the boot partition: not `firstrun.sh`, which is Raspberry Pi Imager's. */
export const FIRST_RUN = "volley-firstrun.sh";

/**
 * The boot partition is mounted at /boot, and from Debian 12 on at /boot/firmware. Without the text `/boot/`, because
 * Raspberry Pi OS replaces it by `/boot/firmware/` all over the file when Imager has set something up
 * (`imager_fixup`). Without `$`, which systemd expands.
 */
const RUN = ` systemd.run="/bin/sh -c 'cd /boot; [ -e ${FIRST_RUN} ] || cd firmware; exec sh ./${FIRST_RUN}'"`;
/** The rest of the line, unless the line has the setting already. */
const SETTINGS = [" systemd.run_success_action=reboot", " systemd.unit=kernel-command-line.target"] as const;
/** All texts that {@link addFirstRun} may have added, the longest first. */
const ADDED = [SETTINGS.join(""), SETTINGS[0], SETTINGS[1], ""].map((settings) => `${RUN}${settings}`);

/** An edited cmdline.txt. */
export interface FirstRunLine {
  readonly content: Buffer;
  /** The text that was added: without it the file has its former bytes. */
  readonly added: string;
}

/**
 * Have the script run at the next start. All other bytes stay. A line that was added earlier is replaced. Where the
 * line runs something already, as Imager's does, the script runs before it: Imager's last act is to cut the line off
 * from the first ` systemd.run` on.
 */
export function addFirstRun(cmdline: Buffer): FirstRunLine {
  // Each byte is a character: the encoding of the line is not known.
  const text = removeFirstRun(cmdline).toString("latin1");
  const end = text.search(/\r?\n|$/);
  const line = text.slice(0, end);
  const found = line.indexOf(" systemd.run=");
  const at = found === -1 ? end : found;
  const isThere = (setting: string): boolean =>
    ` ${line}`.includes(setting.slice(0, setting.indexOf("=") + 1));
  const added = `${RUN}${SETTINGS.filter((setting) => !isThere(setting)).join("")}`;
  return { content: Buffer.from(`${text.slice(0, at)}${added}${text.slice(at)}`, "latin1"), added };
}

/** Take away what {@link addFirstRun} added. */
export function removeFirstRun(cmdline: Buffer): Buffer {
  const text = cmdline.toString("latin1");
  const added = ADDED.find((each) => text.includes(each));
  return added === undefined
    ? cmdline
    : Buffer.from(
        text.replace(added, () => ""),
        "latin1",
      );
}

/** Return the expression of `sed` that takes away a text that was added. */
export function sedToRemove(added: string): string {
  return `s,${added.replace(/[.[\]*^$\\,]/g, "\\$&")},,`;
}
