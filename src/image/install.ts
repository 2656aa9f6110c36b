import { createHash } from "node:crypto";
import { posix } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { RuntimeArch } from "../core/runtimes.ts";
import { STATE, STATE_DIRECTORY } from "./first-boot.ts";
import { refuseHidden } from "./fstab.ts";
import { findInit, findRunner, type InitSystem, installService } from "./init.ts";
import { archOfRoot, findNode, findProgram, type RootNode } from "./node.ts";
import type { Payload } from "./payload.ts";
import { requireRoom } from "./room.ts";
import type { ImageRoot } from "./root.ts";

/** All that an installation needs to know of a root. */
export interface RootTraits {
  readonly init: InitSystem;
  /** Undefined where Volley has no runtime for the root's programs. */
  readonly arch: RuntimeArch | undefined;
  /** Undefined for a root without Node. */
  readonly node: RootNode | undefined;
}

/**
 * Look at a root before anything is built for it. Fails with `USAGE` where its init system is unknown, where the
 * bundle's directory is on a file system that is not mounted, and for a signed bundle where it has no ssh-keygen.
 */
export function inspectRoot(root: ImageRoot, name: string, isSigned: boolean): RootTraits {
  const init = findInit(root);
  if (init === undefined)
    throw new VolleyError(
      "USAGE",
      `${name} has no init system that Volley knows: systemd, OpenRC or sysvinit`,
      {
        hint: "make a bundle with volley bundle, and start it by the system's own means",
      },
    );
  refuseHidden(root, name, STATE_DIRECTORY);
  if (isSigned && findProgram(root, "ssh-keygen") === undefined)
    throw new VolleyError("USAGE", `${name} has no ssh-keygen, which verifies the signature`, {
      hint: "install OpenSSH's client in it, or give --unsigned instead of --sign",
    });
  return { init, arch: archOfRoot(root), node: findNode(root) };
}

/** The wish for a runtime: with one, without, or with one where the root has no usable Node. */
export type RuntimeWish = "with" | "without" | "where needed";

/**
 * Return the architectures whose runtimes the bundle is to hold. Fails with `USAGE` where the root's programs are for a
 * machine that there are no runtimes for, or where it has no usable Node and is to get none.
 */
export function runtimesFor(
  { arch, node }: RootTraits,
  name: string,
  wish: RuntimeWish,
  given: readonly RuntimeArch[] | undefined,
): readonly RuntimeArch[] {
  if (wish !== "with" && node?.isUsable === true) return [];
  if (wish === "without") {
    const what = node === undefined ? "has no Node" : `has Node ${node.version ?? "of an unknown version"}`;
    throw new VolleyError("USAGE", `${name} ${what}, and bundles need 18 or newer`, {
      hint: "leave --no-runtime out to put Node into the bundle, or install Node in it",
    });
  }
  const archs = given ?? (arch === undefined ? [] : [arch]);
  if (archs.length === 0)
    throw new VolleyError("USAGE", `${name} has no Node, and there is no runtime for its processor`, {
      hint: "install Node 18 or newer in it, or name the processor with --arch where Volley does not see it",
    });
  if (arch !== undefined && !archs.includes(arch))
    throw new VolleyError("USAGE", `the programs of ${name} are for ${arch}, not for ${archs.join(" or ")}`, {
      hint: "leave --arch out",
    });
  return archs;
}

/**
 * Put a payload into a root, and have its init system start the runner. Each payload has a directory of its own, and the
 * service's file names it: until that file is renamed into its place, a runner that was there before is started with all
 * that it needs, and from then on the new one. The result of another bundle is removed; that of the same bundle stays.
 * Fails with `FILE_FAILED`, before anything is written where there is no room for it all, and with `CANCELLED` when the signal says so; the root then has what it had.
 */
export async function installPayload(
  root: ImageRoot,
  payload: Payload,
  {
    init,
    waitsForNetwork,
    signal,
  }: { readonly init: InitSystem; readonly waitsForNetwork: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const { host, bundle, files } = payload;
  const directory = posix.join(STATE_DIRECTORY, nameOf(files));
  const before = findRunner(root, init);
  requireRoom(root, payload, before === directory);
  const write = async (name: string, content: Uint8Array, mode: number): Promise<void> => {
    if (signal.aborted) throw new VolleyError("CANCELLED", "the installation was interrupted");
    await root.write(posix.join(directory, name), content, mode);
  };
  root.makeDirectory(STATE_DIRECTORY, 0o700);
  // An installation that was interrupted may have left it.
  if (before !== directory) root.remove(directory);
  try {
    root.makeDirectory(directory, 0o700);
    for (const { name, content, mode } of files) await write(name, content, mode);
    if (before !== undefined && before !== directory)
      for (const [name, content] of resultOf(root, before, bundle.id)) await write(name, content, 0o600);
    await installService(root, init, { host, waitsForNetwork, directory });
  } catch (thrown) {
    if (findRunner(root, init) !== directory) root.remove(directory);
    throw thrown;
  }
  for (const path of root.list(STATE_DIRECTORY).map((name) => posix.join(STATE_DIRECTORY, name)))
    if (path !== directory) root.remove(path);
}

/** Return a name that no other files of a payload have. */
function nameOf(files: Payload["files"]): string {
  const hash = createHash("sha256");
  for (const { name, mode, content } of files)
    hash.update(`${name} ${mode} ${content.length}\n`).update(content);
  return hash.digest("hex").slice(0, 16);
}

/** Return the files of a result with which a machine was provisioned by a bundle; none where another bundle did so, or none. */
function resultOf(
  root: ImageRoot,
  directory: string,
  bundle: string,
): readonly (readonly [string, Buffer])[] {
  const read = (name: string): Buffer | undefined => root.readBytes(posix.join(directory, name));
  if (read(STATE.done)?.toString().trim() !== bundle) return [];
  return Object.values(STATE).flatMap((name) => {
    const content = read(name);
    return content === undefined ? [] : [[name, content] as const];
  });
}
