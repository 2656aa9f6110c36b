import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

const neededCommands = [
  "debootstrap",
  "mount",
  "nsenter",
  "setpriv",
  "ssh",
  "ssh-keygen",
  "systemd-nspawn",
  "unshare",
] as const;

function onPath(command: string): boolean {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why this machine cannot boot a fleet, or undefined when it can. */
export function whyNoFleet(): string | undefined {
  if (process.platform !== "linux") return "fleet hosts need Linux";
  if (process.getuid?.() !== 0) return "fleet hosts need root, for mounts and namespaces";
  const missing = neededCommands.filter((command) => !onPath(command));
  if (missing.length > 0) return `not installed: ${missing.join(", ")} (run .ci/install)`;
  return undefined;
}

/**
 * True when fleet tests can run here, for `describe.skipIf(!fleetAvailable())`. Prints the reason when not,
 * or throws it when the environment says `VOLLEY_FLEET=required`.
 */
export function fleetAvailable(): boolean {
  const reason = whyNoFleet();
  if (reason === undefined) return true;
  if (process.env.VOLLEY_FLEET === "required") throw new Error(`VOLLEY_FLEET=required, but ${reason}`);
  console.warn(`Fleet tests are skipped: ${reason}`);
  return false;
}
