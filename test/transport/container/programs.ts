import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, vi } from "vitest";

/**
 * Stand-ins for programs that most machines lack: `docker`, `podman`, `lxc`, `incus`, `chroot` and `su`. Each notes its
 * arguments, and starts what stands from `/bin/sh` on as a plain process of this machine. The arguments that they must get
 * are those of the real programs' manuals: docker-exec(1), podman-exec(1), `lxc exec --help`, chroot(1).
 */
export interface Programs {
  /** Directory of the stand-ins. */
  readonly directory: string;
  /** Return the arguments of each call so far, up to the shell. */
  calls(): readonly (readonly string[])[];
  /** Have all later calls fail with this text, as when the container was stopped; undefined: go on. */
  fail(said: string | undefined): void;
}

const PROGRAM = `#!/bin/sh
d=\${0%/*}
n=\${0##*/}
l=$n
for w in "$@"; do [ "$w" = /bin/sh ] && break; l="$l|$w"; done
printf '%s\\n' "$l" >>"$d/calls"
if [ -e "$d/broken" ]; then cat "$d/broken" >&2; exit 1; fi
while [ "$1" != /bin/sh ]; do shift; done
exec "$@"
`;
/** `su -s /bin/sh USER -c SCRIPT`. */
const SU = `#!/bin/sh
printf 'su|%s|%s\\n' "$3" "$4" >>"\${0%/*}/calls"
exec /bin/sh -c "$5"
`;

/** Put stand-ins first on the search path, until the test is over. */
export function standIns(): Programs {
  const directory = mkdtempSync(join(tmpdir(), "volley-programs-"));
  mkdirSync(join(directory, "bin"));
  const bin = join(directory, "bin");
  for (const name of ["docker", "podman", "my-podman", "lxc", "incus", "chroot", "su"]) {
    writeFileSync(join(bin, name), name === "su" ? SU : PROGRAM);
    chmodSync(join(bin, name), 0o755);
  }
  vi.stubEnv("PATH", `${bin}${delimiter}${process.env.PATH}`);
  made.push(directory);
  const calls = join(bin, "calls");
  return {
    directory,
    calls: () =>
      existsSync(calls)
        ? readFileSync(calls, "utf8")
            .trim()
            .split("\n")
            .map((line) => line.split("|"))
        : [],
    fail: (said) => {
      if (said === undefined) rmSync(join(bin, "broken"), { force: true });
      else writeFileSync(join(bin, "broken"), `${said}\n`);
    },
  };
}

const made: string[] = [];

afterEach(() => {
  vi.unstubAllEnvs();
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});
