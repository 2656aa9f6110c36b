import type { Facts } from "../../core/facts.ts";
import type { FactReader } from "./reader.ts";

/** Facts about processors. */
export type ProcessorFacts = Pick<
  Facts,
  | "processor"
  | "processor_count"
  | "processor_cores"
  | "processor_threads_per_core"
  | "processor_vcpus"
  | "processor_nproc"
>;

/** Facts about memory. */
export type MemoryTotals = Pick<
  Facts,
  "memtotal_mb" | "memfree_mb" | "swaptotal_mb" | "swapfree_mb" | "memory_mb"
>;

/** Reads /proc/cpuinfo as proc(5) lays it out; machines without sockets in it (most ARM) count each processor as one. */
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

/** Reads /proc/meminfo; all in MiB, rounded down. */
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

/** Facts the firmware gives (SMBIOS). */
export type FirmwareFacts = Pick<
  Facts,
  | "system_vendor"
  | "product_name"
  | "product_version"
  | "product_serial"
  | "product_uuid"
  | "bios_date"
  | "bios_vendor"
  | "bios_version"
  | "board_name"
  | "board_vendor"
  | "form_factor"
>;

// SMBIOS specification, table 17: system enclosure or chassis types.
const CHASSIS = (
  "Unknown,Other,Unknown,Desktop,Low Profile Desktop,Pizza Box,Mini Tower,Tower,Portable,Laptop,Notebook," +
  "Hand Held,Docking Station,All In One,Sub Notebook,Space-saving,Lunch Box,Main Server Chassis," +
  "Expansion Chassis,Sub Chassis,Bus Expansion Chassis,Peripheral Chassis,RAID Chassis,Rack Mount Chassis," +
  "Sealed-case PC,Multi-system,CompactPCI,AdvancedTCA,Blade"
).split(",");

/** Reads /sys/class/dmi/id; serial numbers need root. */
export async function gatherFirmware(reader: FactReader): Promise<FirmwareFacts> {
  const directory = "/sys/class/dmi/id";
  const present = new Set(await reader.list(directory));
  const read = async (name: string): Promise<string> =>
    (present.has(name) ? await reader.text(`${directory}/${name}`) : null) || "NA";
  const chassis = await read("chassis_type");
  return {
    system_vendor: await read("sys_vendor"),
    product_name: await read("product_name"),
    product_version: await read("product_version"),
    product_serial: await read("product_serial"),
    product_uuid: await read("product_uuid"),
    bios_date: await read("bios_date"),
    bios_vendor: await read("bios_vendor"),
    bios_version: await read("bios_version"),
    board_name: await read("board_name"),
    board_vendor: await read("board_vendor"),
    form_factor: CHASSIS[Number(chassis)] ?? "NA",
  };
}
