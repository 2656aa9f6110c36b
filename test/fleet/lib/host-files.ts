import { randomBytes } from "node:crypto";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runOrThrow } from "./command.ts";
import { hostUsers } from "./recipe.ts";

/** The properties that tell one host of a fleet from another. */
export interface HostIdentity {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** Write into a host's root what is its own: name, machine id, address, host key, who may log in. Returns its line for known_hosts. */
export async function writeHostFiles(
  root: string,
  { name, address, port }: HostIdentity,
  authorized_key: string,
): Promise<string> {
  const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
  write("etc/hostname", `${name}\n`);
  write("etc/hosts", `127.0.0.1 localhost\n${address} ${name}\n`);
  write("etc/machine-id", `${randomBytes(16).toString("hex")}\n`);
  write("etc/ssh/sshd_config.d/20-address.conf", `ListenAddress ${address}\nPort ${port}\n`);
  copyFileSync("/etc/resolv.conf", join(root, "etc/resolv.conf"));
  for (const user of hostUsers) {
    write(`${user === "root" ? "root" : `home/${user}`}/.ssh/authorized_keys`, authorized_key);
  }
  const hostKey = join(root, "etc/ssh/ssh_host_ed25519_key");
  await makeKey(hostKey, `root@${name}`);
  chmodSync(hostKey, 0o600);
  const [type, key] = readFileSync(`${hostKey}.pub`, "utf8").split(" ");
  return `${port === 22 ? address : `[${address}]:${port}`} ${type} ${key}\n`;
}

/** Make an ed25519 key pair without passphrase at `path` and `path`.pub. */
export async function makeKey(path: string, comment: string): Promise<void> {
  await runOrThrow(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]);
}
