import type { Facts, MountFacts } from "../../core/facts.ts";
import type { FactReader, FileSystemSize } from "./sources.ts";

/** Facts about processors. */
type ProcessorFacts = Pick<
  Facts,
  | "processor"
  | "processor_count"
  | "processor_cores"
  | "processor_threads_per_core"
  | "processor_vcpus"
  | "processor_nproc"
>;

/** Facts about memory. */
type MemoryTotals = Pick<Facts, "memtotal_mb" | "memfree_mb" | "swaptotal_mb" | "swapfree_mb" | "memory_mb">;

/** Read /proc/cpuinfo as proc(5) lays it out; machines without sockets in it (most ARM) count each processor as one. */
export async function gatherProcessors(reader: FactReader): Promise<ProcessorFacts> {
  const [lines, status] = await Promise.all([
    reader.lines("/proc/cpuinfo"),
    reader.text("/proc/self/status"),
  ]);
  const processor: string[] = [];
  const sockets = new Set<string>();
  let processors = 0;
  let cores = 1;
  let siblings = 1;
  for (const line of lines) {
    const colon = line.indexOf(":");
    const key = line.slice(0, colon).trim();
    const value = line.slice(colon + 1).trim();
    if (key === "processor") processors++;
    if (["processor", "vendor_id", "model name", "Processor", "Model"].includes(key)) processor.push(value);
    if (key === "physical id") sockets.add(value);
    if (key === "cpu cores") cores = Number(value) || 1;
    if (key === "siblings") siblings = Number(value) || 1;
  }
  const count = Math.max(1, sockets.size > 0 ? sockets.size : processors);
  const threads = sockets.size > 0 ? Math.max(1, Math.floor(siblings / cores)) : 1;
  return {
    processor,
    processor_count: count,
    processor_cores: cores,
    processor_threads_per_core: threads,
    processor_vcpus: count * cores * threads,
    processor_nproc:
      countAllowed(/^Cpus_allowed_list:\s*(\S+)/m.exec(status ?? "")?.[1]) ?? Math.max(1, processors),
  };
}

/** How many numbers a list such as `0-3,8` names. */
function countAllowed(list: string | undefined): number | undefined {
  return list?.split(",").reduce((sum, range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return sum + last - first + 1;
  }, 0);
}

/** Read /proc/meminfo; all in MiB, rounded down. */
export async function gatherMemory(reader: FactReader): Promise<MemoryTotals> {
  const kib = new Map<string, number>();
  for (const line of await reader.lines("/proc/meminfo")) {
    const [name = "", value = ""] = line.split(":");
    kib.set(name, Number.parseInt(value, 10));
  }
  const of = (name: string): number => Math.floor((kib.get(name) ?? 0) / 1024);
  const [total, free, swapTotal, swapFree] = [of("MemTotal"), of("MemFree"), of("SwapTotal"), of("SwapFree")];
  const free_nocache = Math.floor(
    ((kib.get("MemFree") ?? 0) + (kib.get("Cached") ?? 0) + (kib.get("Buffers") ?? 0)) / 1024,
  );
  return {
    memtotal_mb: total,
    memfree_mb: free,
    swaptotal_mb: swapTotal,
    swapfree_mb: swapFree,
    memory_mb: {
      real: { total, used: total - free, free },
      nocache: { free: free_nocache, used: total - free_nocache },
      swap: { total: swapTotal, free: swapFree, used: swapTotal - swapFree, cached: of("SwapCached") },
    },
  };
}

/** Files of /sys/class/dmi/id that are facts by their own names. */
const FIRMWARE = [
  ...(["product_name", "product_version", "product_serial", "product_uuid"] as const),
  ...(["bios_date", "bios_vendor", "bios_version"] as const),
  ...(["board_name", "board_vendor", "board_version", "board_serial", "board_asset_tag"] as const),
  ...(["chassis_vendor", "chassis_version", "chassis_serial", "chassis_asset_tag"] as const),
] as const;

/** Facts the firmware gives (SMBIOS). */
type FirmwareFacts = Pick<Facts, "system_vendor" | "form_factor" | (typeof FIRMWARE)[number]>;

// SMBIOS specification, table 17: system enclosure or chassis types.
const CHASSIS = (
  "Unknown,Other,Unknown,Desktop,Low Profile Desktop,Pizza Box,Mini Tower,Tower,Portable,Laptop,Notebook," +
  "Hand Held,Docking Station,All In One,Sub Notebook,Space-saving,Lunch Box,Main Server Chassis," +
  "Expansion Chassis,Sub Chassis,Bus Expansion Chassis,Peripheral Chassis,RAID Chassis,Rack Mount Chassis," +
  "Sealed-case PC,Multi-system,CompactPCI,AdvancedTCA,Blade"
).split(",");

/** Read /sys/class/dmi/id; serial numbers need root. */
export async function gatherFirmware(reader: FactReader): Promise<FirmwareFacts> {
  const directory = "/sys/class/dmi/id";
  const present = new Set(await reader.list(directory));
  const read = async (name: string): Promise<string> =>
    (present.has(name) ? await reader.text(`${directory}/${name}`) : null) || "NA";
  const facts: Partial<Record<keyof FirmwareFacts, string>> = { system_vendor: await read("sys_vendor") };
  for (const name of FIRMWARE) facts[name] = await read(name);
  facts.form_factor = CHASSIS[Number(await read("chassis_type"))] ?? "NA";
  return facts as FirmwareFacts;
}

/** Mounted file systems that have a device, as Ansible lists them; those over a network without their sizes, since a dead server would hang the question. */
export async function gatherMounts(
  reader: FactReader,
  sizeOf: (path: string) => FileSystemSize | undefined,
): Promise<readonly MountFacts[]> {
  const uuids = new Map<string, string>();
  for (const uuid of await reader.list("/dev/disk/by-uuid")) {
    const name = await reader.linkName(`/dev/disk/by-uuid/${uuid}`);
    if (name !== null) uuids.set(`/dev/${name}`, uuid);
  }
  return (await reader.lines("/proc/mounts")).flatMap((line) => {
    const [device = "", mount = "", fstype = "", options = ""] = line.split(" ").map(unescapeMount);
    const network = device.includes(":/") || device.startsWith("//");
    if (!device.startsWith("/") && !network) return [];
    const size = network ? undefined : sizeOf(mount);
    return [
      {
        device,
        mount,
        fstype,
        options,
        uuid: uuids.get(device) ?? "N/A",
        ...(size === undefined ? {} : sizeFacts(size)),
      },
    ];
  });
}

function sizeFacts({ bsize, blocks, bavail, files, ffree }: FileSystemSize): Partial<MountFacts> {
  return {
    block_size: bsize,
    block_total: blocks,
    block_available: bavail,
    block_used: blocks - bavail,
    size_total: blocks * bsize,
    size_available: bavail * bsize,
    inode_total: files,
    inode_available: ffree,
    inode_used: files - ffree,
  };
}

/** Spaces and the like are written as octal in /proc/mounts: see getmntent(3). */
function unescapeMount(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Facts about virtualization: the host as a guest, and its own guests. */
type VirtualizationFacts = Pick<
  Facts,
  "virtualization_type" | "virtualization_role" | "virtualization_tech_guest" | "virtualization_tech_host"
>;

const BY_PRODUCT: readonly (readonly [pattern: RegExp, type: string])[] = [
  [/^(KVM|KVM Server|Bochs|AHV|RHEV Hypervisor|Google Compute Engine|oVirt.*)$/, "kvm"],
  [/^Standard PC/, "kvm"],
  [/VMware/, "VMware"],
  [/^OpenStack/, "openstack"],
  [/^VirtualBox/, "virtualbox"],
  [/^HVM domU/, "xen"],
  [/^Parallels/, "parallels"],
];

const BY_VENDOR: readonly (readonly [pattern: RegExp, type: string])[] = [
  [/^(QEMU|Amazon EC2|DigitalOcean|Hetzner|Google|Linode|Vultr|Scaleway|oVirt|Nutanix|Red Hat)/i, "kvm"],
  [/^VMware/, "VMware"],
  [/^innotek/, "virtualbox"],
  [/^Xen/, "xen"],
  [/^Parallels/, "parallels"],
  [/^OpenStack/, "openstack"],
  [/^bhyve/i, "bhyve"],
];

const BY_CGROUP: readonly (readonly [pattern: RegExp, type: string])[] = [
  [/\/docker[-/]|\/ecs\//, "docker"],
  [/\/lxc[./]/, "lxc"],
  [/\/libpod[-_]|machine\.slice\/libpod/, "podman"],
  [/\/kubepods|\/kubelet|\/actions_job/, "container"],
];

/** Decide as Ansible does: a container first, then the firmware's word, then the kernel's. */
export async function gatherVirtualization(
  reader: FactReader,
  firmware: FirmwareFacts,
): Promise<VirtualizationFacts> {
  const guests: string[] = [];
  for (const find of [findContainer, findOpenVz, findHypervisor]) {
    for (const type of await find(reader, firmware)) if (!guests.includes(type)) guests.push(type);
  }
  const hosts = await findHosted(reader);
  const type = guests[0] ?? hosts[0] ?? "NA";
  const role = guests.length > 0 ? "guest" : hosts.length > 0 ? "host" : "NA";
  const isContainer =
    ["docker", "podman", "lxc", "systemd-nspawn"].includes(type) && !guests.includes("container");
  return {
    virtualization_type: type,
    virtualization_role: role,
    virtualization_tech_guest: isContainer ? [...guests, "container"] : guests,
    virtualization_tech_host: hosts,
  };
}

async function findContainer(reader: FactReader): Promise<readonly string[]> {
  const cgroup = await reader.text("/proc/1/cgroup");
  const byCgroup = BY_CGROUP.find(([pattern]) => pattern.test(cgroup ?? ""))?.[1];
  if (byCgroup !== undefined) return [byCgroup];
  if ((await reader.exists("/.dockerenv")) || (await reader.exists("/.dockerinit"))) return ["docker"];
  if (await reader.exists("/run/.containerenv")) return ["podman"];
  const environment = (await reader.text("/proc/1/environ"))?.split("\0") ?? [];
  const named = environment.find((entry) => entry.startsWith("container="))?.slice("container=".length);
  const told = (await reader.text("/run/systemd/container")) ?? "";
  // The environment of process 1 settles the type: of Ansible's there are two, and "container" stands for all others.
  const type =
    named === undefined || named === "" ? [] : [["lxc", "podman"].includes(named) ? named : "container"];
  return [...new Set([...type, ...(told === "" ? [] : [told])])];
}

async function findOpenVz(reader: FactReader): Promise<readonly string[]> {
  const guest =
    (await reader.exists("/proc/vz")) &&
    !(await reader.exists("/proc/lve")) &&
    !(await reader.exists("/proc/bc"));
  return guest ? ["openvz"] : [];
}

async function findHypervisor(reader: FactReader, firmware: FirmwareFacts): Promise<readonly string[]> {
  const product = BY_PRODUCT.find(([pattern]) => pattern.test(firmware.product_name))?.[1];
  if (product !== undefined) return [product];
  if (firmware.product_name === "Virtual Machine" && firmware.system_vendor.startsWith("Microsoft"))
    return ["VirtualPC"];
  for (const vendor of [firmware.bios_vendor, firmware.system_vendor]) {
    const type = BY_VENDOR.find(([pattern]) => pattern.test(vendor))?.[1];
    if (type !== undefined) return [type];
  }
  if ((await reader.text("/sys/hypervisor/type")) === "xen") return ["xen"];
  const cpu = (await reader.text("/proc/cpuinfo")) ?? "";
  if (/^model name\s*:.*QEMU Virtual CPU/m.test(cpu)) return ["kvm"];
  if (/^vendor_id\s*:\s*User Mode Linux/m.test(cpu)) return ["uml"];
  if (/^(vendor_id\s*:\s*)?PowerVM Lx86/m.test(cpu)) return ["powervm_lx86"];
  return /^virtio_pci\s/m.test((await reader.text("/proc/modules")) ?? "") ? ["kvm"] : [];
}

async function findHosted(reader: FactReader): Promise<readonly string[]> {
  const modules = (await reader.text("/proc/modules")) ?? "";
  const hosts: string[] = [];
  if (/^kvm\s/m.test(modules) || (await reader.exists("/dev/kvm"))) hosts.push("kvm");
  if (/^vboxdrv\s/m.test(modules)) hosts.push("virtualbox");
  if ((await reader.text("/proc/xen/capabilities"))?.includes("control_d")) hosts.push("xen");
  return hosts;
}
