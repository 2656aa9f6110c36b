import type { Facts } from "../../core/facts.ts";
import type { FirmwareFacts } from "./hardware.ts";
import type { FactReader } from "./reader.ts";

/** Facts about what the host runs in, and what it runs. */
export type VirtualizationFacts = Pick<
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

/** Decides as Ansible does: a container first, then the firmware's word, then the kernel's. */
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
  const isContainer = ["docker", "podman", "lxc", "systemd-nspawn"].includes(type);
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
  const named =
    environment.find((entry) => entry.startsWith("container="))?.slice("container=".length) ||
    (await reader.text("/run/systemd/container"));
  return named ? [named] : [];
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
