import { quote } from "../core/unix/shell.ts";
import { type BootPartition, CMDLINE } from "./boot-partition.ts";
import { STATE_DIRECTORY } from "./first-boot.ts";
import { SERVICE, systemdUnit } from "./init.ts";
import type { Payload } from "./payload.ts";
import { addFirstRun, FIRST_RUN, removeFirstRun, sedToRemove } from "./pi-cmdline.ts";

// The first boot of a Raspberry Pi, prepared on its boot partition alone. FAT has no modes and no links, so a script moves
// all to the root file system, where systemd runs it at the boot after.

/** The directory of the boot partition that holds the payload, and the file that tells why it was not moved. */
const DIRECTORY = "volley";
const FAILED = "volley-failed.txt";

const UNIT = `${SERVICE}.service`;
const UNITS = "/etc/systemd/system";

/** A file on its way from the boot partition. */
interface MovedFile {
  readonly name: string;
  readonly content: Buffer;
  readonly mode: number;
  /** The directory it is moved to. */
  readonly to: string;
}

/** The files found on a boot partition. */
export interface PreparedPi {
  /** True where another script runs at the first start, such as that of Raspberry Pi Imager. */
  readonly hasOther: boolean;
}

/**
 * Write a payload to a boot partition, and have it moved at the next start. A payload that is there already is replaced.
 * Fails with `FILE_FAILED`, having removed what it wrote. When it is interrupted, the machine starts as it did without.
 */
export function preparePi(boot: BootPartition, payload: Payload, waitsForNetwork: boolean): PreparedPi {
  const cmdline = boot.read(CMDLINE)!;
  const plain = removeFirstRun(cmdline);
  const { content, added } = addFirstRun(cmdline);
  const unit = Buffer.from(systemdUnit({ host: payload.host, waitsForNetwork }));
  const files: readonly MovedFile[] = [
    ...payload.files.map((file) => ({ ...file, to: STATE_DIRECTORY })),
    { name: UNIT, content: unit, mode: 0o644, to: UNITS },
  ];
  try {
    // A machine whose line starts a script that is gone would turn itself off.
    if (!plain.equals(cmdline)) boot.write(CMDLINE, plain);
    clear(boot);
    for (const file of files) boot.write(`${DIRECTORY}/${file.name}`, file.content);
    boot.write(FIRST_RUN, Buffer.from(firstRunScript(files, added)));
    // The line last: it must not have anything run that is not there.
    boot.write(CMDLINE, content);
  } catch (thrown) {
    clear(boot);
    boot.write(CMDLINE, plain);
    throw thrown;
  }
  return { hasOther: plain.includes(" systemd.run=") };
}

function clear(boot: BootPartition): void {
  for (const name of [DIRECTORY, FIRST_RUN, FAILED]) boot.remove(name);
}

/**
 * Return the script, in POSIX sh, that systemd starts in the directory of the boot partition. The system's own edits of
 * cmdline.txt, at the start before, have to stay: the first start of Raspberry Pi OS changes the root's PARTUUID in it. So
 * the script takes away the line, and puts back no copy.
 *
 * Whatever happened, the line goes: with it, a machine would start the script again and again. Without the script, systemd
 * turns the machine off.
 */
function firstRunScript(files: readonly MovedFile[], added: string): string {
  const moves = files.map(
    ({ name, mode, to }) => `put ${quote(name)} ${quote(to)} ${mode.toString(8).padStart(3, "0")} &&`,
  );
  return `#!/bin/sh
# The first run of Volley on a Raspberry Pi: move what lies in ${DIRECTORY}/ to the root file system, where the next start
# of the system runs it, and clear the boot partition.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 022
put() { cp "${DIRECTORY}/$1" "$2/.$1.new" && chmod "$3" "$2/.$1.new" && mv -f "$2/.$1.new" "$2/$1"; }
move() {
  mkdir -p ${STATE_DIRECTORY} ${UNITS}/multi-user.target.wants && chmod 700 ${STATE_DIRECTORY} &&
  ${moves.join("\n  ")}
  ln -sf ${UNITS}/${UNIT} ${UNITS}/multi-user.target.wants/${UNIT} && sync
}
if why=$(move 2>&1); then echo "volley: this machine will provision itself at its next start"
else
  echo "volley: this machine will not provision itself: $why"
  echo "$why" >${FAILED}
fi
line=$(cat <<'END'
${sedToRemove(added)}
END
)
sed -e "$line" ${CMDLINE} >${CMDLINE}.new && ! grep -q ${FIRST_RUN} ${CMDLINE}.new && sync &&
  mv -f ${CMDLINE}.new ${CMDLINE} && sync || { echo "volley: cannot take the first run out of $(pwd)/${CMDLINE}"; exit 1; }
rm -rf ${DIRECTORY} ${FIRST_RUN}
sync
exit 0
`;
}
