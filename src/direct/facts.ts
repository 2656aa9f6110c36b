import { randomBytes } from "node:crypto";
import { gatherFacts } from "../agent/facts/gather.ts";
import { formatIpv4 } from "../agent/facts/network.ts";
import type { FileSystemSize, Machine, MachineAddress } from "../agent/facts/sources.ts";
import type { Facts } from "../core/facts.ts";
import type { FileType, ReadSystem, Stat } from "../core/system.ts";
import { runScript, type Shells } from "./shell.ts";

/** The answers of a host, by kind and path. */
export type FactRecords = ReadonlyMap<string, Buffer>;

/** Ask a host for all parts of its facts, in one script. */
export async function askForFacts(shells: Shells): Promise<FactRecords> {
  const mark = `volley-${randomBytes(8).toString("hex")}`;
  return parseRecords(await runScript(shells, factsScript(mark)), mark);
}

/** Make facts of a host's answers; `system` answers all other questions. */
export function gatherDirectFacts(
  system: ReadSystem,
  records: FactRecords,
  env: Readonly<Record<string, string>>,
): Promise<Facts> {
  return gatherFacts(snapshotSystem(system, records), { ...env }, machineOf(records));
}

/** Return /etc/passwd from a host's answers; empty where it is missing. */
export function passwdOf(records: FactRecords): string {
  return records.get("file /etc/passwd")?.toString("utf8") ?? "";
}

function parseRecords(output: Buffer, mark: string): FactRecords {
  const records = new Map<string, Buffer>();
  const begin = Buffer.from(`\n${mark} `);
  for (let at = output.indexOf(begin); at >= 0; ) {
    const headEnd = output.indexOf(10, at + begin.length);
    if (headEnd < 0) break;
    // The newline before a mark is the mark's own.
    const next = output.indexOf(begin, headEnd);
    const end = next < 0 ? output.length : next;
    records.set(output.toString("utf8", at + begin.length, headEnd), output.subarray(headEnd + 1, end));
    at = next;
  }
  return records;
}

/** Return a System that answers from the records where they hold the answer. */
function snapshotSystem(system: ReadSystem, records: FactRecords): ReadSystem {
  const asked = new Set([
    ...FACT_FILES,
    ...FACT_BINARY_FILES,
    ...FACT_PATHS,
    ...FACT_DIRECTORIES,
    "/usr/bin/python3",
  ]);
  const isAsked = (path: string): boolean =>
    asked.has(path) || FACT_DIRECTORIES.some((directory) => path.startsWith(`${directory}/`));
  const identities = (records.get("chroot /")?.toString("utf8") ?? "").split("\n");
  const find = (path: string, follow: boolean): Stat | null => {
    if (!follow && records.has(`link ${path}`)) return statOf("link");
    if (records.has(`list ${path}`)) return statOf("directory");
    if (records.has(`program ${path}`)) return statOf("file", 0o755);
    return records.has(`file ${path}`) || records.has(`path ${path}`) ? statOf("file") : null;
  };
  const look =
    (follow: boolean) =>
    async (path: string, exact?: boolean): Promise<Stat | null> => {
      const root = ["/", "/proc/1/root/."].indexOf(path);
      if (root >= 0) {
        const [device, inode] = (identities[root] ?? "").split(":").map(Number);
        return inode === undefined ? null : { ...statOf("directory"), device: device ?? 0, inode };
      }
      if (isAsked(path)) return find(path, follow);
      return follow ? system.stat(path, exact) : system.lstat(path, exact);
    };
  const readIfExists = async (path: string): Promise<Buffer | null> =>
    isAsked(path) ? (records.get(`file ${path}`) ?? null) : system.readIfExists(path);
  return {
    ...system,
    stat: look(true),
    lstat: look(false),
    readIfExists,
    readText: async (path) => (await readIfExists(path))?.toString("utf8") ?? system.readText(path),
    list: async (path) => {
      const names = records.get(`list ${path}`);
      if (names === undefined) return isAsked(path) ? [] : system.list(path);
      return names
        .toString("utf8")
        .split("\n")
        .filter((name) => name !== "")
        .sort();
    },
    readLink: async (path) =>
      records.get(`link ${path}`)?.toString("utf8").trimEnd() ?? system.readLink(path),
  };
}

function statOf(type: FileType, mode = 0o644): Stat {
  return {
    ...{ type, mode, uid: 0, gid: 0, size: 0, mtimeMs: 0, atimeMs: 0, ctimeMs: 0 },
    ...{ inode: 0, device: 0, links: 1, blocks: 0, blockSize: 0, rdev: 0 },
  };
}

function machineOf(records: FactRecords): Machine {
  const addresses = parseAddresses(records.get("address /")?.toString("utf8") ?? "");
  const seconds = Number(records.get("time /")?.toString("utf8").trim());
  return {
    nowMs: () => (Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : Date.now()),
    ipv4Addresses: () => addresses,
    fileSystemSize: (path) => sizeOf(records, path),
  };
}

/** Parse the lines of `ip -o -4 addr show`. */
function parseAddresses(text: string): readonly MachineAddress[] | undefined {
  const found = [...text.matchAll(/^\d+:\s+(\S+)\s+inet\s+([\d.]+)(?:\s+peer\s+[\d.]+)?\/(\d+)/gm)];
  if (found.length === 0) return undefined;
  return found.map(([, device = "", address = "", prefix]) => ({
    device,
    address,
    netmask: formatIpv4((0xffffffff << (32 - Number(prefix))) >>> 0),
  }));
}

/** Read the numbers of `stat -f`; /proc/mounts writes spaces of a path as `\040`. */
function sizeOf(records: FactRecords, path: string): FileSystemSize | undefined {
  const written = path.replace(/[ \t\n\\]/g, (odd) => `\\${odd.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const numbers = records.get(`size ${written}`)?.toString("utf8").trim().split(" ").map(Number) ?? [];
  const [bsize, blocks, bavail, , files = 0, ffree = 0] = numbers;
  if (bsize === undefined || blocks === undefined || bavail === undefined) return undefined;
  return { bsize, blocks, bavail, files, ffree };
}

/** Files with the fields of uname(2), and the options of uname(1) that stand in for them where there is no /proc. */
const UNAME_FILES: Readonly<Record<string, string>> = {
  "/proc/sys/kernel/hostname": "-n",
  "/proc/sys/kernel/osrelease": "-r",
  "/proc/sys/kernel/version": "-v",
  "/proc/sys/kernel/arch": "-m",
};

/** Files of text that facts are made of. */
const FACT_FILES: readonly string[] = [
  ...Object.keys(UNAME_FILES),
  ...["/proc/sys/crypto/fips_enabled", "/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/cmdline"],
  ...["/proc/cpuinfo", "/proc/self/status", "/proc/meminfo", "/proc/modules", "/proc/mounts"],
  ...["comm", "cgroup"].map((name) => `/proc/1/${name}`),
  ...["/proc/xen/capabilities", "/sys/hypervisor/type", "/sys/fs/selinux/enforce"],
  ...["route", "ipv6_route", "if_inet6", "fib_trie"].map((name) => `/proc/net/${name}`),
  ...["hosts", "machine-id", "passwd", "os-release", "debian_version", "lsb-release"].map(
    (name) => `/etc/${name}`,
  ),
  ...["/etc/resolv.conf", "/etc/selinux/config", "/run/systemd/container"],
  ...["rsa", "ecdsa", "ed25519"].map((kind) => `/etc/ssh/ssh_host_${kind}_key.pub`),
  ...["/var/lib/dbus/machine-id", "/usr/lib/os-release"],
];

/** Files with bytes that are no text. */
const FACT_BINARY_FILES: readonly string[] = ["/proc/1/environ", "/etc/localtime"];

/** Paths whose existence is a fact. */
const FACT_PATHS: readonly string[] = [
  ...["/lib64", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1"],
  ...["/lib/ld-musl-aarch64.so.1", "/lib/ld-linux-armhf.so.3", "/lib64/ld64.so.2", "/lib/ld64.so.1"],
  ...["/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-linux.so.2", "/usr/bin/lsb_release"],
  ...["apt-get", "dnf5", "dnf", "yum", "zypper", "pacman", "emerge", "xbps-install"].map(
    (name) => `/usr/bin/${name}`,
  ),
  ...["/sbin/apk", "/bin/opkg", "/usr/sbin/swupd", "/run/systemd/system", "/sbin/initctl", "/etc/init"],
  ...["/sbin/openrc", "/etc/init.d", "/sys/kernel/security/apparmor", "/.dockerenv", "/.dockerinit"],
  ...["/run/.containerenv", "/proc/vz", "/proc/lve", "/proc/bc", "/dev/kvm"],
];

/** Directories whose whole content counts. */
const FACT_DIRECTORIES: readonly string[] = [
  "/sys/class/net",
  "/sys/class/dmi/id",
  "/dev/disk/by-uuid",
  "/etc/ansible/facts.d",
];

/**
 * Return a script for sh that prints all of it: records that each begin with a line of `mark`, a kind and a path. A
 * missing or forbidden file has no record. A single awk reads the texts: a cat for each would take longer than all the rest.
 * A file system over the network is not asked for its size, because a dead server would hang the script.
 */
function factsScript(mark: string): string {
  return `n='${mark}'
bytes() { for p; do if [ -r "$p" ] && [ ! -d "$p" ]; then printf '\\n%s file %s\\n' "$n" "$p"; cat "$p" 2>/dev/null; fi; done; }
texts=
if command -v awk >/dev/null 2>&1; then text() { for p; do [ -r "$p" ] && [ ! -d "$p" ] && texts="$texts $p"; done; }
else text() { bytes "$@"; }; fi
list() { for p; do if [ -d "$p" ]; then printf '\\n%s list %s\\n' "$n" "$p"; ls -A "$p" 2>/dev/null; fi; done; }
lead() { for p; do if [ -L "$p" ]; then printf '\\n%s link %s\\n' "$n" "$p"; readlink "$p"; fi; done; }
text ${FACT_FILES.join(" ")}
name() { [ -r "$1" ] || { v=$(uname "$2" 2>/dev/null) && printf '\\n%s file %s\\n%s\\n' "$n" "$1" "$v"; }; }
${Object.entries(UNAME_FILES)
  .map(([path, option]) => `name ${path} ${option}`)
  .join("; ")}
bytes ${FACT_BINARY_FILES.join(" ")}
for p in ${FACT_PATHS.join(" ")}; do [ -e "$p" ] && printf '\\n%s path %s\\n' "$n" "$p"; done
list ${FACT_DIRECTORIES.join(" ")}
for d in /sys/class/net/*; do
text "$d/type" "$d/address" "$d/mtu" "$d/operstate" "$d/flags"; list "$d" "$d/brif"
[ -e "$d/device" ] && { bytes "$d/speed"; lead "$d/device" "$d/device/driver/module"; }
done
for f in sys_vendor product_name product_version product_serial product_uuid bios_date bios_vendor bios_version board_name board_vendor board_version board_serial board_asset_tag chassis_type chassis_vendor chassis_version chassis_serial chassis_asset_tag; do text "/sys/class/dmi/id/$f"; done
lead /dev/disk/by-uuid/* /usr/bin/python3
for p in /etc/ansible/facts.d/*.fact; do if [ -x "$p" ]; then printf '\\n%s program %s\\n' "$n" "$p"; else bytes "$p"; fi; done
[ -n "$texts" ] && awk -v n="$n" 'FNR == 1 { printf "\\n%s file %s\\n", n, FILENAME } { print }' $texts 2>/dev/null
printf '\\n%s time /\\n' "$n"; date +%s
printf '\\n%s chroot /\\n' "$n"; stat -c %d:%i / /proc/1/root/. 2>/dev/null
printf '\\n%s address /\\n' "$n"; ip -o -4 addr show up 2>/dev/null
while read -r d m r; do case "$d" in //*|*:/*) ;; /*) printf '\\n%s size %s\\n' "$n" "$m"; m=$(printf '%b_' "$(echo "$m" | sed 's/\\\\/\\\\0/g')"); stat -f -c '%s %b %a %f %c %d' "\${m%_}" 2>/dev/null;; esac; done </proc/mounts
printf '\\n%s end /\\n' "$n"`;
}
