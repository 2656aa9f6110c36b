import type { Facts } from "../../core/facts.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { FactReader } from "./sources.ts";

/** Facts about the host's names and its kernel. */
export type NameFacts = Pick<
  Facts,
  | "hostname"
  | "fqdn"
  | "domain"
  | "nodename"
  | "system"
  | "kernel"
  | "kernel_version"
  | "architecture"
  | "machine"
  | "userspace_architecture"
  | "userspace_bits"
  | "machine_id"
>;

/** Facts about the user this runs as. */
export type UserFacts = Pick<
  Facts,
  | "user_id"
  | "user_uid"
  | "user_gid"
  | "user_gecos"
  | "user_dir"
  | "user_shell"
  | "real_user_id"
  | "effective_user_id"
  | "real_group_id"
  | "effective_group_id"
>;

/** Names of the host and of its kernel, from files only: no name server is asked. */
export async function gatherNames(reader: FactReader): Promise<NameFacts> {
  const [node, kernel, version, arch, hosts, id, busId, lib64] = await Promise.all([
    reader.text("/proc/sys/kernel/hostname"),
    reader.text("/proc/sys/kernel/osrelease"),
    reader.text("/proc/sys/kernel/version"),
    reader.text("/proc/sys/kernel/arch"),
    reader.lines("/etc/hosts"),
    reader.text("/etc/machine-id"),
    reader.text("/var/lib/dbus/machine-id"),
    reader.exists("/lib64"),
  ]);
  const nodename = node ?? "localhost";
  const fqdn = fullName(nodename, hosts);
  const machine = arch ?? (await architectureOf(reader));
  const bits = /64|s390x/.test(machine) || lib64 ? "64" : "32";
  const machineId = id || busId;
  return {
    hostname: nodename.split(".")[0] ?? nodename,
    fqdn,
    domain: fqdn.split(".").slice(1).join("."),
    nodename,
    system: "Linux",
    kernel: kernel ?? "",
    kernel_version: version ?? "",
    architecture: machine === "i686" || machine === "i586" ? "i386" : machine,
    machine,
    userspace_architecture: machine,
    userspace_bits: bits,
    ...(machineId ? { machine_id: machineId } : {}),
  };
}

/** /proc/sys/kernel/arch came with Linux 6.1; before, the dynamic loader's name tells. */
async function architectureOf(reader: FactReader): Promise<string> {
  const loaders: readonly (readonly [path: string, machine: string])[] = [
    ["/lib64/ld-linux-x86-64.so.2", "x86_64"],
    ["/lib/ld-linux-aarch64.so.1", "aarch64"],
    ["/lib/ld-musl-x86_64.so.1", "x86_64"],
    ["/lib/ld-musl-aarch64.so.1", "aarch64"],
    ["/lib/ld-linux-armhf.so.3", "armv7l"],
    ["/lib64/ld64.so.2", "ppc64le"],
    ["/lib/ld64.so.1", "s390x"],
    ["/lib/ld-linux-riscv64-lp64d.so.1", "riscv64"],
    ["/lib/ld-linux.so.2", "i686"],
  ];
  for (const [path, machine] of loaders) if (await reader.exists(path)) return machine;
  return "unknown";
}

/** The first dotted name of the address that /etc/hosts gives the host, as getfqdn finds it; else the host's own. */
function fullName(nodename: string, hosts: readonly string[]): string {
  if (nodename.includes(".")) return nodename;
  const entries = hosts
    .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
    .filter((fields) => fields.length > 1);
  const address = entries.find(([, ...names]) => names.includes(nodename))?.[0];
  const names = entries.filter(([first]) => first === address).flatMap(([, ...all]) => all);
  return names.find((name) => name.includes(".")) ?? names[0] ?? nodename;
}

/** Gather facts about the user of this process from /etc/passwd, else from the environment. */
export async function gatherUser(
  reader: FactReader,
  { uid, gid }: ReadSystem,
  env: NodeJS.ProcessEnv,
): Promise<UserFacts> {
  const entry = (await reader.lines("/etc/passwd"))
    .map((line) => line.split(":"))
    .find((fields) => fields[2] === String(uid));
  const [name = env.USER ?? String(uid), , , primary, gecos = "", home = env.HOME ?? "/", shell = ""] =
    entry ?? [];
  return {
    user_id: name,
    user_uid: uid,
    user_gid: primary === undefined ? gid : Number(primary),
    user_gecos: gecos,
    user_dir: home,
    user_shell: shell || env.SHELL || "/bin/sh",
    real_user_id: uid,
    effective_user_id: uid,
    real_group_id: gid,
    effective_group_id: gid,
  };
}
