import { posix } from "node:path";
import type { ReadSystem, System } from "../../core/system.ts";
import { missingDirectories } from "../shared/paths.ts";
import { runTool } from "../shared/run-tool.ts";
import type { PasswdEntry } from "./accounts.ts";
import type { UserParams } from "./user-params.ts";

const DEFAULT_SKELETON = "/etc/skel";
const DEFAULT_UMASK = 0o022;
const PARENT_MODE = 0o755;

/** Makes the directories above a home directory that useradd is to make. */
export async function makeParents(system: System, home: string): Promise<void> {
  for (const path of await missingDirectories(system, posix.dirname(home)))
    await system.makeDirectory(path, PARENT_MODE);
}

async function homeMode(system: ReadSystem, umask: string | undefined): Promise<number> {
  if (umask !== undefined) return 0o777 & ~Number.parseInt(umask, 8);
  const definitions = (await system.readIfExists("/etc/login.defs"))?.toString("utf8") ?? "";
  const setting = (name: string): number | undefined => {
    const digits = new RegExp(`^${name}\\s+([0-7]+)`, "m").exec(definitions)?.[1];
    return digits === undefined ? undefined : Number.parseInt(digits, 8);
  };
  return setting("HOME_MODE") ?? 0o777 & ~(setting("UMASK") ?? DEFAULT_UMASK);
}

/** Makes the home directory of an account that exists without one, from the skeleton, as `useradd --create-home` would. */
export async function makeHome(
  system: System,
  { home, uid, gid }: PasswdEntry,
  params: UserParams,
): Promise<void> {
  const skeleton = params.skeleton ?? DEFAULT_SKELETON;
  await makeParents(system, home);
  await system.makeDirectory(home, 0o700);
  if ((await system.stat(skeleton))?.type === "directory") {
    await runTool(system, ["cp", "-R", `${skeleton}/.`, home], `fill ${home} from ${skeleton}`);
  }
  await runTool(system, ["chown", "-R", `${uid}:${gid}`, home], `give ${home} to its user`);
  await system.chmod(home, await homeMode(system, params.umask));
}

/** A key pair about to be made. */
export interface KeyPlan {
  readonly file: string;
  readonly replaces: boolean;
}

/** The path of a user's private key. */
export function keyFile({ ssh_key_file: file, ssh_key_type: type }: UserParams, home: string): string {
  return posix.resolve(home, file ?? `.ssh/id_${type}`);
}

/** Makes a key pair that belongs to its user. */
export async function makeKey(
  system: System,
  { uid, gid }: PasswdEntry,
  params: UserParams,
  plan: KeyPlan,
): Promise<void> {
  const { file } = plan;
  const directory = posix.dirname(file);
  for (const path of await missingDirectories(system, directory)) {
    await system.makeDirectory(path, 0o700);
    await system.chown(path, uid, gid);
  }
  // Made where only root is: ssh-keygen would follow what links the user has put there.
  const temporary = await system.temporaryDirectory();
  const made = posix.join(temporary, "key");
  const host = (await system.readIfExists("/proc/sys/kernel/hostname"))?.toString("utf8").trim() ?? "";
  const argv = [
    ...["ssh-keygen", "-q", "-t", params.ssh_key_type, "-f", made, "-N", params.ssh_key_passphrase ?? ""],
    ...["-C", params.ssh_key_comment ?? `volley-generated on ${host}`],
    ...(params.ssh_key_bits === undefined ? [] : ["-b", String(params.ssh_key_bits)]),
  ];
  await runTool(system, argv, `make the key ${file}`);
  await system.writeFile(file, await system.readFile(made), { mode: 0o600, uid, gid });
  await system.writeFile(`${file}.pub`, await system.readFile(`${made}.pub`), { mode: 0o644, uid, gid });
  await system.remove(temporary);
}
