import { statSync } from "node:fs";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import type { ImageRoot } from "../../image/root.ts";
import { positiveInteger } from "../options.ts";
import { parseArchs } from "../runtime.ts";
import { onSignals } from "../terminal.ts";
import { addPayloadOptions, type PayloadFlags, payloadOptions } from "./options.ts";

interface InstallFlags extends PayloadFlags {
  readonly partition?: number;
  readonly withRuntime?: boolean;
  /** False for `--no-runtime`. */
  readonly runtime: boolean;
  readonly arch?: readonly RuntimeArch[];
}

/** Add `volley image install`. */
export function addInstallCommand(image: Command): void {
  addPayloadOptions(
    image
      .command("install <root> <playbook>")
      .summary("put a bundle into a mounted root or a disk image")
      .description(
        "Put a bundle for one host into a mounted root, or into the root partition of a disk image, with a service that provisions the machine at its first boot: for systemd, OpenRC or sysvinit. Node goes along where the root has none. A raw disk image needs root, for the mount.",
      ),
  )
    .option(
      "--partition <number>",
      "partition of a disk image (default: the one with a root)",
      positiveInteger,
    )
    .option("--with-runtime", "let the bundle hold Node, although the root has one")
    .option("--no-runtime", "put no Node into the bundle")
    .option(
      "--arch <name>",
      "architecture of that Node, x64 or arm64 (default: that of the root)",
      parseArchs,
    )
    .action(async (root: string, playbook: string, flags: InstallFlags) => {
      await install(root, playbook, flags);
    });
}

async function install(path: string, playbook: string, flags: InstallFlags): Promise<void> {
  if (flags.withRuntime === true && !flags.runtime)
    throw new VolleyError("USAGE", "--with-runtime and --no-runtime contradict each other: give one of them");
  const options = await payloadOptions(playbook, flags, []);
  const { withTargetLock } = await import("../../image/lock.ts");
  await withTargetLock(path, "volley image install", () => installInto(path, options, flags));
}

async function installInto(
  path: string,
  options: Awaited<ReturnType<typeof payloadOptions>>,
  flags: InstallFlags,
): Promise<void> {
  const [{ inspectRoot, installPayload, runtimesFor }, { makePayload }, { formatBytes }] = await Promise.all([
    import("../../image/install.ts"),
    import("../../image/payload.ts"),
    import("../../reporter/rows/amounts.ts"),
  ]);
  const isSigned = options.signing !== undefined;
  // Nothing is mounted while the bundle is built, which takes long and may ask for a passphrase.
  const traits = await withRoot(path, { ...flags, readOnly: true }, (root) =>
    inspectRoot(root, path, isSigned),
  );
  const wish = flags.withRuntime === true ? "with" : flags.runtime ? "where needed" : "without";
  const runtimes = runtimesFor(traits, path, wish, flags.arch);
  const payload = await makePayload({ ...options, runtimes });
  const interrupted = new AbortController();
  const stopListening = onSignals(() => interrupted.abort());
  try {
    await withRoot(path, { ...flags, readOnly: false }, (root) =>
      installPayload(root, payload, {
        init: traits.init,
        waitsForNetwork: options.waitsForNetwork === true,
        signal: interrupted.signal,
      }),
    );
  } finally {
    stopListening();
  }
  const { id, bytes } = payload.bundle;
  const node =
    runtimes.length > 0
      ? `Node for ${runtimes.join(" and ")} goes along`
      : `Node ${traits.node?.version ?? "of an unknown version"} is there`;
  process.stdout.write(
    `${path}: ${payload.host} provisions itself at its first boot (${traits.init})
${payload.playbook}: ${formatBytes(bytes.length)}, SHA-256 ${id}; ${isSigned ? "signed" : "not signed"}; ${node}
Afterwards: volley image result ${path}
`,
  );
}

/** The root that a command is to work on. */
interface RootChoice {
  readonly partition?: number;
  readonly readOnly: boolean;
}

/** Open a directory as a root, or the root partition of a disk image for as long as the work needs it. Fails with `USAGE`. */
export async function withRoot<Value>(
  path: string,
  { partition, readOnly }: RootChoice,
  work: (root: ImageRoot) => Value | Promise<Value>,
): Promise<Value> {
  const { isRoot, openRoot } = await import("../../image/root.ts");
  let isDirectory: boolean;
  try {
    isDirectory = statSync(path).isDirectory();
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot look into ${path}: ${fileReason(thrown)}`, { cause: thrown });
  }
  if (isDirectory) {
    if (partition !== undefined)
      throw new VolleyError("USAGE", `--partition is for disk images, and ${path} is a directory`);
    return await work(openRoot(path));
  }
  const { ROOT_KINDS, withPartition } = await import("../../image/disk.ts");
  return await withPartition(
    path,
    {
      ...(partition === undefined ? {} : { partition }),
      ...{ readOnly, kinds: ROOT_KINDS, isWanted: isRoot, wanted: "root of a system" },
    },
    (directory) => work(openRoot(directory, path)),
  );
}
