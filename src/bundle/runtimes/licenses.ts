import { readdirSync, readFileSync } from "node:fs";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { resolveBelow } from "../../system/root-paths.ts";

// The licences of libraries that are packed with Node: an archive that is passed on must have the texts with it.

/** Debian's packages of glibc and of GCC's libraries, for this machine and for an architecture. */
const DEBIAN: Readonly<Record<RuntimeArch, RegExp>> = {
  x64: /^(?:libc6|libstdc\+\+6|libgcc-s1|libatomic1)(?:-amd64-cross)?$/,
  arm64: /^(?:libc6|libstdc\+\+6|libgcc-s1|libatomic1)(?:-arm64-cross)?$/,
};
/** Licences that Debian's packages refer to. */
const COMMON = ["LGPL-2.1", "LGPL-3", "GPL-2", "GPL-3"];
/** The packages of Fedora, SUSE and Arch. */
const OTHERS = /^(?:glibc|libgcc|libgcc_s1|libstdc\+\+6?|gcc-libs|libatomic1?)$/;

const NOTICE = `The files in lib/ are copies, without symbols for debuggers, of libraries of the system that this archive was made on.
GNU C Library: GNU Lesser General Public License, version 2.1 or later. https://www.gnu.org/software/libc/
libstdc++, libgcc_s, libatomic: GNU General Public License, version 3 or later, with the GCC Runtime Library Exception. https://gcc.gnu.org/
The sources are those of that system's distribution. lib/licenses/ has the texts that the system has.
`;

/** Return the licences of a system's glibc and GCC libraries, by names below `lib/`. A notice comes first, texts as far as the system has them. */
export function findLicenses(root: string, arch: RuntimeArch): ReadonlyMap<string, Buffer> {
  const found = new Map([["NOTICE", Buffer.from(NOTICE)]]);
  const take = (name: string, path: string): void => {
    try {
      found.set(`licenses/${name}`, readFileSync(resolveBelow(root, path)));
    } catch {
      // Containers and small systems leave such texts out.
    }
  };
  for (const name of namesIn(root, "usr/share/doc", DEBIAN[arch]))
    take(name, `usr/share/doc/${name}/copyright`);
  if (found.size > 1) for (const name of COMMON) take(name, `usr/share/common-licenses/${name}`);
  for (const name of namesIn(root, "usr/share/licenses", OTHERS))
    for (const file of namesIn(root, `usr/share/licenses/${name}`, /^[\w.+-]+$/))
      take(`${name}.${file}`, `usr/share/licenses/${name}/${file}`);
  return found;
}

function namesIn(root: string, directory: string, pattern: RegExp): readonly string[] {
  try {
    return readdirSync(resolveBelow(root, directory))
      .filter((name) => pattern.test(name))
      .sort();
  } catch {
    return [];
  }
}
