import type { Facts } from "../../core/facts.ts";
import { type FactReader, parseAssignments } from "./reader.ts";

const BY_NAME: Readonly<Record<string, string>> = {
  "runit-init": "runit",
  runsvdir: "runit",
  svscan: "svc",
  "openrc-init": "openrc",
  "s6-svscan": "s6",
};

/** The service manager: what process 1 is, and when that says only `init`, what lies on the disk. */
export async function gatherServiceManager(reader: FactReader): Promise<string> {
  const name = (await reader.text("/proc/1/comm")) ?? "init";
  if (BY_NAME[name] !== undefined) return BY_NAME[name];
  if (name !== "init" && !name.endsWith("sh")) return name;
  if (await reader.exists("/run/systemd/system")) return "systemd";
  if ((await reader.exists("/sbin/initctl")) && (await reader.exists("/etc/init"))) return "upstart";
  if (await reader.exists("/sbin/openrc")) return "openrc";
  if (await reader.exists("/etc/init.d")) return "sysvinit";
  return "service";
}

/** Facts about what confines processes. */
export type SecurityFacts = Pick<Facts, "selinux" | "apparmor" | "fips" | "is_chroot">;

/** Whether SELinux, AppArmor or FIPS mode are on, and whether `/` is the real one. */
export async function gatherSecurity(
  reader: FactReader,
  inodeOf: (path: string) => Promise<string | undefined>,
): Promise<SecurityFacts> {
  const [enforce, apparmor, fips, root, initRoot] = await Promise.all([
    reader.text("/sys/fs/selinux/enforce"),
    reader.exists("/sys/kernel/security/apparmor"),
    reader.text("/proc/sys/crypto/fips_enabled"),
    inodeOf("/"),
    inodeOf("/proc/1/root/."),
  ]);
  return {
    selinux: enforce === null ? { status: "disabled" } : await describeSelinux(reader, enforce),
    apparmor: { status: apparmor ? "enabled" : "disabled" },
    fips: fips === "1",
    is_chroot: initRoot !== undefined && root !== initRoot,
  };
}

async function describeSelinux(reader: FactReader, enforce: string): Promise<Facts["selinux"]> {
  const config = parseAssignments(await reader.lines("/etc/selinux/config"));
  return {
    status: "enabled",
    mode: enforce === "1" ? "enforcing" : "permissive",
    config_mode: config.SELINUX ?? "unknown",
    type: config.SELINUXTYPE ?? "unknown",
  };
}

/** Words of the kernel's command line: `name=value`, or a name alone. */
export async function gatherCommandLine(reader: FactReader): Promise<Facts["cmdline"]> {
  const found: Record<string, string | true> = {};
  for (const word of ((await reader.text("/proc/cmdline")) ?? "").split(/\s+/)) {
    const equals = word.indexOf("=");
    if (word !== "")
      found[equals < 0 ? word : word.slice(0, equals)] = equals < 0 ? true : word.slice(equals + 1);
  }
  return found;
}

/** The host's public SSH keys, without their type and comment. */
export async function gatherHostKeys(
  reader: FactReader,
): Promise<
  Pick<Facts, "ssh_host_key_rsa_public" | "ssh_host_key_ecdsa_public" | "ssh_host_key_ed25519_public">
> {
  const [rsa, ecdsa, ed25519] = await Promise.all(
    ["rsa", "ecdsa", "ed25519"].map(
      async (kind) => (await reader.text(`/etc/ssh/ssh_host_${kind}_key.pub`))?.split(/\s+/)[1],
    ),
  );
  return {
    ...(rsa === undefined ? {} : { ssh_host_key_rsa_public: rsa }),
    ...(ecdsa === undefined ? {} : { ssh_host_key_ecdsa_public: ecdsa }),
    ...(ed25519 === undefined ? {} : { ssh_host_key_ed25519_public: ed25519 }),
  };
}

/** The system's python3 by the name its link points to; nothing when there is none. */
export async function gatherPython(reader: FactReader): Promise<Pick<Facts, "python" | "python_version">> {
  const match = /^python(\d+)\.(\d+)$/.exec((await reader.linkName("/usr/bin/python3")) ?? "");
  if (match === null) return {};
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return {
    python: { executable: "/usr/bin/python3", version: { major, minor } },
    python_version: `${major}.${minor}`,
  };
}
