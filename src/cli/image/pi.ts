import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { parseArchs } from "../runtime.ts";
import { addPayloadOptions, type PayloadFlags, payloadOptions } from "./options.ts";

interface PiFlags extends PayloadFlags {
  readonly runtime: boolean;
  readonly arch?: readonly RuntimeArch[];
}

/** Add `volley image pi`. */
export function addPiCommand(image: Command): void {
  addPayloadOptions(
    image
      .command("pi <target> <playbook>")
      .summary("prepare the boot partition of a Raspberry Pi")
      .description(
        "Put a bundle onto the boot partition of a Raspberry Pi, which provisions itself at its first boot. TARGET is the directory at which the partition is mounted (bootfs), or a disk image, which mtools writes to. At its next start the machine moves the bundle to its root file system, clears the boot partition, and restarts. What Raspberry Pi Imager has set up is kept, and runs then.",
      ),
  )
    .option(
      "--arch <name>",
      "architecture of the Node in the bundle, x64 or arm64 (default: arm64)",
      parseArchs,
    )
    .option("--no-runtime", "leave Node out of the bundle, for a machine that has it (about 40 MB)")
    .action(async (target: string, playbook: string, flags: PiFlags) => {
      await prepare(target, playbook, flags);
    });
}

async function prepare(target: string, playbook: string, flags: PiFlags): Promise<void> {
  const { runtime, arch } = flags;
  if (arch !== undefined && !runtime)
    throw new VolleyError("USAGE", "--arch says which Node the bundle holds: leave out --no-runtime");
  const { withTargetLock } = await import("../../image/lock.ts");
  await withTargetLock(target, "volley image pi", () => prepareTarget(target, playbook, flags));
}

async function prepareTarget(target: string, playbook: string, flags: PiFlags): Promise<void> {
  const { runtime, arch, network = false } = flags;
  const [{ openBootPartition }, { makePayload }, { preparePi }] = await Promise.all([
    import("../../image/boot-partition.ts"),
    import("../../image/payload.ts"),
    import("../../image/pi.ts"),
  ]);
  const boot = openBootPartition(target);
  const archs = runtime ? (arch ?? (["arm64"] as const)) : [];
  const payload = await makePayload(await payloadOptions(playbook, flags, archs));
  const { hasOther } = preparePi(boot, payload, network);
  const { id, bytes } = payload.bundle;
  process.stdout.write(
    `${target}: first boot of ${payload.host}, bundle of ${(bytes.length / 1024).toFixed(1)} KiB, SHA-256 ${id}\n` +
      `${hasOther ? "The first run that was there is kept, and runs then. " : ""}The machine restarts before it provisions itself.\n`,
  );
}
