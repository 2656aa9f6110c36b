import { readElf } from "../bundle/runtimes/elf.ts";
import { VolleyError } from "../core/errors.ts";
import type { RuntimeArch } from "../core/runtimes.ts";
import type { ImageRoot } from "./root.ts";

// The machine of a root and its Node, known without starting any of its programs.

/** The directories in which the runner looks for programs. */
const PROGRAM_DIRECTORIES = [
  ...["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"],
];
const NODES = [
  ...PROGRAM_DIRECTORIES.flatMap((directory) => [`${directory}/node`, `${directory}/nodejs`]),
  "/opt/node/bin/node",
];
const OLDEST_NODE = 18;
/** Programs that every system has, of which one tells the machine. */
const PROGRAMS = ["/bin/sh", "/sbin/init", "/usr/lib/systemd/systemd", "/bin/busybox"];

/** Return the path of a program of the root; undefined where there is none. */
export function findProgram(root: ImageRoot, name: string): string | undefined {
  return PROGRAM_DIRECTORIES.map((directory) => `${directory}/${name}`).find(root.isFile);
}

/** Return the architecture of a root's programs; undefined for one that Volley has no runtimes for, or no program. */
export function archOfRoot(root: ImageRoot): RuntimeArch | undefined {
  for (const path of PROGRAMS) {
    const program = root.readBytes(path);
    if (program === undefined) continue;
    try {
      const { arch } = readElf(program, path);
      if (arch !== undefined) return arch;
    } catch (thrown) {
      // A script, or a program for a machine of 32 bits.
      if (!(thrown instanceof VolleyError)) throw thrown;
    }
  }
  return undefined;
}

/** The Node of a root. */
export interface RootNode {
  readonly path: string;
  /** Its version, as far as it is known: `20.19.2`. */
  readonly version: string | undefined;
  /** True for a version that bundles run on. */
  readonly isUsable: boolean;
}

/** Find the Node that a bundle would find in a root; undefined where there is none. */
export function findNode(root: ImageRoot): RootNode | undefined {
  const found = NODES.filter(root.isFile).map((path): RootNode => {
    const version = versionOf(root, path);
    return { path, version, isUsable: Number(version?.split(".")[0] ?? 0) >= OLDEST_NODE };
  });
  return found.find(({ isUsable }) => isUsable) ?? found[0];
}

/** Return the version of a Node by its headers, by the name of its headers within itself, or by the package's version. */
function versionOf(root: ImageRoot, path: string): string | undefined {
  const header = root.read(path.replace(/bin\/[^/]+$/, "include/node/node_version.h"));
  if (header !== undefined) {
    const part = (name: string): string =>
      new RegExp(`^#define NODE_${name}_VERSION (\\d+)`, "m").exec(header)?.[1] ?? "";
    return ["MAJOR", "MINOR", "PATCH"].map(part).join(".");
  }
  return (
    packagedVersion(root) ??
    /node-v(\d+\.\d+\.\d+)-headers/.exec(root.readBytes(path)?.toString("latin1") ?? "")?.[1]
  );
}

/** Return the version of the package nodejs by the databases of dpkg and apk. */
function packagedVersion(root: ImageRoot): string | undefined {
  const debian =
    /^Package: nodejs\nStatus: install ok installed\n(?:.+\n)*?Version: (?:\d+:)?(\d+\.\d+\.\d+)/m;
  const alpine = /^P:nodejs(?:-current)?\nV:(\d+\.\d+\.\d+)/m;
  return (
    debian.exec(root.read("/var/lib/dpkg/status") ?? "")?.[1] ??
    alpine.exec(root.read("/lib/apk/db/installed") ?? root.read("/usr/lib/apk/db/installed") ?? "")?.[1]
  );
}
