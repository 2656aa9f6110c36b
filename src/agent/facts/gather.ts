import { messageOf } from "../../core/errors.ts";
import type { Facts } from "../../core/facts.ts";
import type { ReadSystem } from "../../core/system.ts";
import { fullName } from "../../core/unix/full-name.ts";
import { parseFact } from "../../core/values/fact-text.ts";
import { plain } from "../../core/values/vars.ts";
import {
  gatherFirmware,
  gatherMemory,
  gatherMounts,
  gatherProcessors,
  gatherVirtualization,
} from "./hardware.ts";
import { gatherNetwork } from "./network.ts";
import {
  gatherCommandLine,
  gatherDistribution,
  gatherHostKeys,
  gatherPython,
  gatherSecurity,
  gatherServiceManager,
} from "./software.ts";
import { createFactReader, type FactReader, type Machine } from "./sources.ts";
import { clockFromFiles, gatherDateTime } from "./time.ts";

/**
 * Gather facts about a host from files alone: no process is started. Names and values are those of
 * Ansible's `setup`. `machine` adds what no file tells (file system sizes, addresses by interface); leave it out when
 * the system is not the machine this runs on.
 */
export async function gatherFacts(
  system: ReadSystem,
  env: NodeJS.ProcessEnv,
  machine?: Machine,
): Promise<Facts> {
  const reader = createFactReader(system, machine);
  const [names, firmware, uptime, load] = await Promise.all([
    gatherNames(reader),
    gatherFirmware(reader),
    reader.text("/proc/uptime"),
    reader.text("/proc/loadavg"),
  ]);
  const [
    user,
    distribution,
    service_mgr,
    processors,
    memory,
    virtualization,
    network,
    mounts,
    security,
    cmdline,
    date_time,
    hostKeys,
    python,
    local,
  ] = await Promise.all([
    gatherUser(reader, system, env),
    gatherDistribution(reader),
    gatherServiceManager(reader),
    gatherProcessors(reader),
    gatherMemory(reader),
    gatherVirtualization(reader, firmware),
    gatherNetwork(reader, names.machine, machine?.ipv4Addresses()),
    gatherMounts(reader, (path) => machine?.fileSystemSize(path)),
    gatherSecurity(reader, (path) => identityOf(system, path)),
    gatherCommandLine(reader),
    (async () => gatherDateTime(system, machine?.nowMs() ?? (await clockFromFiles(reader)), env, machine))(),
    gatherHostKeys(reader),
    gatherPython(reader),
    gatherLocalFacts(system),
  ]);
  const [oneMinute = 0, fiveMinutes = 0, fifteenMinutes = 0] = (load ?? "")
    .split(" ")
    .slice(0, 3)
    .map(Number);
  return {
    ...names,
    ...distribution,
    ...firmware,
    ...processors,
    ...memory,
    ...virtualization,
    ...user,
    ...network,
    ...security,
    ...hostKeys,
    ...python,
    ...local,
    service_mgr,
    mounts,
    cmdline,
    date_time,
    uptime_seconds: Math.floor(Number((uptime ?? "0").split(" ")[0])),
    loadavg: { "1m": oneMinute, "5m": fiveMinutes, "15m": fifteenMinutes },
    env: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}

/** Return the identity of a file, or undefined for one that cannot be looked at. */
async function identityOf(system: ReadSystem, path: string): Promise<string | undefined> {
  try {
    const stat = await system.stat(path, true);
    return stat === null ? undefined : `${stat.device}:${stat.inode}`;
  } catch {
    return undefined;
  }
}

const DIRECTORY = "/etc/ansible/facts.d";

/** Read `*.fact` files as JSON, else as INI; programs among them are left out and named, and a broken one says so in its place. */
export async function gatherLocalFacts(system: ReadSystem): Promise<Pick<Facts, "local" | "local_skipped">> {
  if ((await system.stat(DIRECTORY))?.type !== "directory") return { local: {}, local_skipped: [] };
  const local: Record<string, unknown> = {};
  const skipped: string[] = [];
  for (const name of await system.list(DIRECTORY)) {
    const path = `${DIRECTORY}/${name}`;
    const stat = name.endsWith(".fact") ? await system.stat(path) : null;
    if (stat?.type !== "file") continue;
    if ((stat.mode & 0o111) !== 0) skipped.push(path);
    else local[name.slice(0, -".fact".length)] = await readFact(system, path);
  }
  return { local, local_skipped: skipped };
}

async function readFact(system: ReadSystem, path: string): Promise<unknown> {
  try {
    // Roles see what JavaScript has of it; templates get all of it back.
    return plain(parseFact(await system.readText(path)));
  } catch (thrown) {
    return `error loading facts from ${path}: ${messageOf(thrown)}`;
  }
}

/** Facts about the host's names and its kernel. */
type NameFacts = Pick<
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
type UserFacts = Pick<
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
