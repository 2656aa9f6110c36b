import type { Facts } from "../../core/facts.ts";
import { type FactReader, parseAssignments } from "./sources.ts";

/** Facts about the distribution and its package manager. */
type DistributionFacts = Pick<
  Facts,
  | "distribution"
  | "distribution_version"
  | "distribution_major_version"
  | "distribution_minor_version"
  | "distribution_release"
  | "distribution_file_path"
  | "distribution_file_variety"
  | "distribution_file_parsed"
  | "os_family"
  | "lsb"
  | "pkg_mgr"
>;

/** os-release ID → the distribution's name and family as Ansible has them. */
const DISTRIBUTIONS: Readonly<Record<string, readonly [name: string, family: string]>> = {
  debian: ["Debian", "Debian"],
  ubuntu: ["Ubuntu", "Debian"],
  raspbian: ["Debian", "Debian"],
  linuxmint: ["Linux Mint", "Debian"],
  pop: ["Pop!_OS", "Debian"],
  kali: ["Kali", "Debian"],
  devuan: ["Devuan", "Debian"],
  neon: ["KDE neon", "Debian"],
  parrot: ["Parrot", "Debian"],
  deepin: ["Deepin", "Debian"],
  osmc: ["OSMC", "Debian"],
  rhel: ["RedHat", "RedHat"],
  fedora: ["Fedora", "RedHat"],
  centos: ["CentOS", "RedHat"],
  rocky: ["Rocky", "RedHat"],
  almalinux: ["AlmaLinux", "RedHat"],
  ol: ["OracleLinux", "RedHat"],
  amzn: ["Amazon", "RedHat"],
  scientific: ["Scientific", "RedHat"],
  cloudlinux: ["CloudLinux", "RedHat"],
  virtuozzo: ["Virtuozzo", "RedHat"],
  openEuler: ["openEuler", "RedHat"],
  sles: ["SLES", "Suse"],
  sled: ["SLED", "Suse"],
  "opensuse-leap": ["openSUSE Leap", "Suse"],
  "opensuse-tumbleweed": ["openSUSE Tumbleweed", "Suse"],
  alpine: ["Alpine", "Alpine"],
  arch: ["Archlinux", "Archlinux"],
  archarm: ["Archlinux", "Archlinux"],
  manjaro: ["Manjaro", "Archlinux"],
  endeavouros: ["EndeavourOS", "Archlinux"],
  gentoo: ["Gentoo", "Gentoo"],
  altlinux: ["Altlinux", "Altlinux"],
  void: ["Void", "Void"],
  nixos: ["NixOS", "NixOS"],
};

const FAMILIES: Readonly<Record<string, string>> = {
  debian: "Debian",
  ubuntu: "Debian",
  rhel: "RedHat",
  fedora: "RedHat",
  centos: "RedHat",
  suse: "Suse",
  arch: "Archlinux",
  alpine: "Alpine",
  gentoo: "Gentoo",
};

/** Package managers by the file that shows them, the family's own first. */
const PACKAGE_MANAGERS: readonly (readonly [path: string, name: string, family?: string])[] = [
  ["/usr/bin/apt-get", "apt", "Debian"],
  ["/usr/bin/dnf5", "dnf5", "RedHat"],
  ["/usr/bin/dnf", "dnf", "RedHat"],
  ["/usr/bin/yum", "yum", "RedHat"],
  ["/usr/bin/zypper", "zypper", "Suse"],
  ["/sbin/apk", "apk", "Alpine"],
  ["/usr/bin/pacman", "pacman", "Archlinux"],
  ["/usr/bin/emerge", "portage", "Gentoo"],
  ["/usr/bin/xbps-install", "xbps", "Void"],
  ["/usr/bin/apt-get", "apt_rpm", "Altlinux"],
  ["/bin/opkg", "opkg"],
  ["/usr/sbin/swupd", "swupd"],
];

/** Read os-release and what lies beside it. */
export async function gatherDistribution(reader: FactReader): Promise<DistributionFacts> {
  const [etc, debianVersion, lsbRelease, hasLsb] = await Promise.all([
    reader.lines("/etc/os-release"),
    reader.text("/etc/debian_version"),
    reader.lines("/etc/lsb-release"),
    reader.exists("/usr/bin/lsb_release"),
  ]);
  const path = etc.length > 0 ? "/etc/os-release" : "/usr/lib/os-release";
  const release = parseAssignments(etc.length > 0 ? etc : await reader.lines(path));
  const { ID: id = "linux", NAME: name = "Linux", VERSION_ID: versionId = "" } = release;
  const like = (release.ID_LIKE ?? "").split(" ");
  const [distribution, family] = DISTRIBUTIONS[id] ?? [
    name.split(" ")[0] ?? name,
    like.map((word) => FAMILIES[word]).find((found) => found !== undefined) ?? name.split(" ")[0] ?? name,
  ];
  const version = versionId || (family === "Archlinux" ? "rolling" : "NA");
  // Debian's os-release has the major version alone; Ansible takes the point release from a file, as the minor version.
  const pointRelease = distribution === "Debian" ? /^\d+\.(\d+)/.exec(debianVersion ?? "")?.[1] : undefined;
  const [major = version, minor = pointRelease] = version.split(".");
  return {
    distribution,
    distribution_version: version,
    distribution_major_version: major,
    ...(minor === undefined ? {} : { distribution_minor_version: minor }),
    distribution_release: codename(id, release),
    distribution_file_path: path,
    distribution_file_variety: family === "Debian" ? "Debian" : distribution,
    distribution_file_parsed: Object.keys(release).length > 0,
    os_family: family,
    lsb: lsbFacts(distribution, release, parseAssignments(lsbRelease), hasLsb),
    pkg_mgr: await findPackageManager(reader, family),
  };
}

function codename(id: string, release: Readonly<Record<string, string>>): string {
  if (release.VERSION_CODENAME) return release.VERSION_CODENAME;
  if (id === "centos" && release.NAME?.includes("Stream")) return "Stream";
  return /\(([^)]+)\)/.exec(release.VERSION ?? "")?.[1] ?? "NA";
}

function lsbFacts(
  distribution: string,
  release: Readonly<Record<string, string>>,
  lsb: Readonly<Record<string, string>>,
  hasCommand: boolean,
): Facts["lsb"] {
  if (!hasCommand && lsb.DISTRIB_ID === undefined) return {};
  const version = lsb.DISTRIB_RELEASE ?? release.VERSION_ID ?? "";
  return {
    id: lsb.DISTRIB_ID ?? distribution,
    release: version,
    major_release: version.split(".")[0] ?? "",
    codename: lsb.DISTRIB_CODENAME ?? release.VERSION_CODENAME ?? "n/a",
    description: lsb.DISTRIB_DESCRIPTION ?? release.PRETTY_NAME ?? "",
  };
}

async function findPackageManager(reader: FactReader, family: string): Promise<string> {
  const own = PACKAGE_MANAGERS.filter(([, , of]) => of === family);
  const others = PACKAGE_MANAGERS.filter(([, , of]) => of !== family);
  for (const [path, name] of [...own, ...others]) if (await reader.exists(path)) return name;
  return "unknown";
}

const BY_NAME: Readonly<Record<string, string>> = {
  "runit-init": "runit",
  runsvdir: "runit",
  svscan: "svc",
  "openrc-init": "openrc",
  "s6-svscan": "s6",
};

/** Find the service manager: by the name of process 1, and where that is only `init`, by files. */
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
type SecurityFacts = Pick<Facts, "selinux" | "apparmor" | "fips" | "is_chroot">;

/** The state of SELinux, AppArmor and FIPS mode, and of chroot(2). */
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
  Pick<
    Facts,
    | `ssh_host_key_${"rsa" | "ecdsa" | "ed25519"}_public`
    | `ssh_host_key_${"rsa" | "ecdsa" | "ed25519"}_public_keytype`
  >
> {
  const found: Record<string, string> = {};
  for (const kind of ["rsa", "ecdsa", "ed25519"]) {
    const [type, key] = (await reader.text(`/etc/ssh/ssh_host_${kind}_key.pub`))?.split(/\s+/) ?? [];
    if (type === undefined || key === undefined) continue;
    found[`ssh_host_key_${kind}_public`] = key;
    found[`ssh_host_key_${kind}_public_keytype`] = type;
  }
  return found;
}

/** The system's python3 by the name its link points to; nothing when there is none. */
export async function gatherPython(reader: FactReader): Promise<Pick<Facts, "python" | "python_version">> {
  const match = /^python(\d+)\.(\d+)$/.exec((await reader.linkName("/usr/bin/python3")) ?? "");
  if (match === null) return {};
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return {
    python: { executable: "/usr/bin/python3", type: "cpython", version: { major, minor } },
    python_version: `${major}.${minor}`,
  };
}
