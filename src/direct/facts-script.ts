/** Files of text that facts are made of. */
export const FACT_FILES: readonly string[] = [
  ...["hostname", "osrelease", "version", "arch"].map((name) => `/proc/sys/kernel/${name}`),
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

/** Files that may hold anything. */
export const FACT_BINARY_FILES: readonly string[] = ["/proc/1/environ", "/etc/localtime"];

/** Paths of which only their being there counts. */
export const FACT_PATHS: readonly string[] = [
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

/** Directories of which everything is told that facts ask for. */
export const FACT_DIRECTORIES: readonly string[] = [
  "/sys/class/net",
  "/sys/class/dmi/id",
  "/dev/disk/by-uuid",
  "/etc/ansible/facts.d",
];

/**
 * A script for sh that tells all of it on standard output: records that each begin with a line of `mark`, a kind and a
 * path. What is missing or may not be read has no record. Texts are read by one awk, where a cat each would take longer
 * than all the rest. A file system over the network is not asked for its size,
 * because a dead server would hang the question.
 */
export function factsScript(mark: string): string {
  return `n='${mark}'
bytes() { for p; do if [ -r "$p" ] && [ ! -d "$p" ]; then printf '\\n%s file %s\\n' "$n" "$p"; cat "$p" 2>/dev/null; fi; done; }
texts=
if command -v awk >/dev/null 2>&1; then text() { for p; do [ -r "$p" ] && [ ! -d "$p" ] && texts="$texts $p"; done; }
else text() { bytes "$@"; }; fi
list() { for p; do if [ -d "$p" ]; then printf '\\n%s list %s\\n' "$n" "$p"; ls -A "$p" 2>/dev/null; fi; done; }
lead() { for p; do if [ -L "$p" ]; then printf '\\n%s link %s\\n' "$n" "$p"; readlink "$p"; fi; done; }
text ${FACT_FILES.join(" ")}
bytes ${FACT_BINARY_FILES.join(" ")}
for p in ${FACT_PATHS.join(" ")}; do [ -e "$p" ] && printf '\\n%s path %s\\n' "$n" "$p"; done
list ${FACT_DIRECTORIES.join(" ")}
for d in /sys/class/net/*; do
text "$d/type" "$d/address" "$d/mtu" "$d/operstate" "$d/flags"; list "$d" "$d/brif"
[ -e "$d/device" ] && { bytes "$d/speed"; lead "$d/device" "$d/device/driver/module"; }
done
for f in sys_vendor product_name product_version product_serial product_uuid bios_date bios_vendor bios_version board_name board_vendor chassis_type; do text "/sys/class/dmi/id/$f"; done
lead /dev/disk/by-uuid/* /usr/bin/python3
for p in /etc/ansible/facts.d/*.fact; do if [ -x "$p" ]; then printf '\\n%s program %s\\n' "$n" "$p"; else bytes "$p"; fi; done
[ -n "$texts" ] && awk -v n="$n" 'FNR == 1 { printf "\\n%s file %s\\n", n, FILENAME } { print }' $texts 2>/dev/null
printf '\\n%s time /\\n' "$n"; date +%s
printf '\\n%s chroot /\\n' "$n"; stat -c %d:%i / /proc/1/root/. 2>/dev/null
printf '\\n%s address /\\n' "$n"; ip -o -4 addr show up 2>/dev/null
while read -r d m r; do case "$d" in //*|*:/*) ;; /*) printf '\\n%s size %s\\n' "$n" "$m"; m=$(printf '%b_' "$(echo "$m" | sed 's/\\\\/\\\\0/g')"); stat -f -c '%s %b %a %f %c %d' "\${m%_}" 2>/dev/null;; esac; done </proc/mounts
printf '\\n%s end /\\n' "$n"`;
}
