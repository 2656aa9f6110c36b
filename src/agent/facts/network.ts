import type { DefaultRouteFacts, Facts, InterfaceFacts, Ipv4Facts, Ipv6Facts } from "../../core/facts.ts";
import type { FactReader, MachineAddress } from "./sources.ts";

/** Facts about interfaces, addresses and routes. */
type NetworkFacts = Pick<
  Facts,
  | "interfaces"
  | "network"
  | "default_ipv4"
  | "default_ipv6"
  | "all_ipv4_addresses"
  | "all_ipv6_addresses"
  | "dns"
>;

interface Route {
  readonly device: string;
  readonly destination: number;
  readonly mask: number;
  readonly gateway: number;
  readonly metric: number;
  readonly up: boolean;
}

const ROUTE_UP = 0x1;
const INTERFACE_PROMISCUOUS = 0x100;
// From include/uapi/linux/if_arp.h.
const HARDWARE_TYPES: Readonly<Record<string, string>> = {
  "1": "ether",
  "32": "infiniband",
  "772": "loopback",
};
const SCOPES: Readonly<Record<string, string>> = { "00": "global", "10": "host", "20": "link", "40": "site" };

/** Read /sys/class/net and /proc/net; `addresses` are those no file lists by interface, undefined when not known. */
export async function gatherNetwork(
  reader: FactReader,
  machine: string,
  addresses: readonly MachineAddress[] | undefined,
): Promise<NetworkFacts> {
  const [names, routeLines, route6Lines, inet6Lines] = await Promise.all([
    reader.list("/sys/class/net"),
    reader.lines("/proc/net/route"),
    reader.lines("/proc/net/ipv6_route"),
    reader.lines("/proc/net/if_inet6"),
  ]);
  const routes = parseRoutes(routeLines, machine === "s390x");
  const ipv4 = addresses ?? addressesFromRoutes(routes, await reader.lines("/proc/net/fib_trie"));
  const ipv6 = parseInet6(inet6Lines);
  const described = await Promise.all(
    names.map(async (name) => [name, await describeInterface(reader, name, ipv4, ipv6.get(name))] as const),
  );
  const network = Object.fromEntries(described.filter(([, facts]) => facts !== null)) as Record<
    string,
    InterfaceFacts
  >;
  const all = Object.values(network).filter(({ type }) => type !== "loopback");
  return {
    interfaces: Object.keys(network),
    network,
    default_ipv4: defaultIpv4(routes, network),
    default_ipv6: defaultIpv6(route6Lines, network),
    all_ipv4_addresses: all.flatMap(({ ipv4, ipv4_secondaries = [] }) =>
      [...(ipv4 ? [ipv4] : []), ...ipv4_secondaries].map(({ address }) => address),
    ),
    all_ipv6_addresses: all.flatMap(({ ipv6 = [] }) => ipv6.map(({ address }) => address)),
    dns: parseResolv(await reader.lines("/etc/resolv.conf")),
  };
}

function parseRoutes(lines: readonly string[], bigEndian: boolean): readonly Route[] {
  return lines.slice(1).map((line) => {
    const [device = "", destination = "", gateway = "", flags = "", , , metric = "", mask = ""] =
      line.split(/\s+/);
    return {
      device,
      destination: parseRouteAddress(destination, bigEndian),
      gateway: parseRouteAddress(gateway, bigEndian),
      mask: parseRouteAddress(mask, bigEndian),
      metric: Number(metric),
      up: (Number.parseInt(flags, 16) & ROUTE_UP) !== 0,
    };
  });
}

/** The host's own addresses are in fib_trie without their interface; the network they belong to names it. */
function addressesFromRoutes(routes: readonly Route[], trie: readonly string[]): readonly MachineAddress[] {
  const own = new Set<string>();
  let address = "";
  for (const line of trie) {
    address = /\|--\s+(\S+)/.exec(line)?.[1] ?? address;
    if (/\/32 host LOCAL/.test(line)) own.add(address);
  }
  return [...own].flatMap((found) => {
    if (found.startsWith("127.")) return [{ device: "lo", address: found, netmask: "255.0.0.0" }];
    const value = parseIpv4(found);
    const route = routes.find(({ mask, destination }) => mask !== 0 && (value & mask) >>> 0 === destination);
    return route === undefined
      ? []
      : [{ device: route.device, address: found, netmask: formatIpv4(route.mask) }];
  });
}

function parseInet6(lines: readonly string[]): ReadonlyMap<string, readonly Ipv6Facts[]> {
  const found = new Map<string, Ipv6Facts[]>();
  for (const line of lines) {
    const [hex = "", , prefix = "", scope = "", , device = ""] = line.trim().split(/\s+/);
    const known = found.get(device) ?? [];
    known.push({
      address: formatIpv6(hex),
      prefix: String(Number.parseInt(prefix, 16)),
      scope: SCOPES[scope] ?? "global",
    });
    found.set(device, known);
  }
  return found;
}

async function describeInterface(
  reader: FactReader,
  device: string,
  addresses: readonly MachineAddress[],
  ipv6: readonly Ipv6Facts[] | undefined,
): Promise<InterfaceFacts | null> {
  const at = `/sys/class/net/${device}`;
  const [hardware, address, mtu, state, flags, entries] = await Promise.all([
    reader.text(`${at}/type`),
    reader.text(`${at}/address`),
    reader.text(`${at}/mtu`),
    reader.text(`${at}/operstate`),
    reader.text(`${at}/flags`),
    reader.list(at),
  ]);
  // Not an interface: /sys/class/net/bonding_masters is a plain file.
  if (hardware === null) return null;
  const bridge = entries.includes("bridge");
  const type = bridge
    ? "bridge"
    : entries.includes("bonding")
      ? "bonding"
      : (HARDWARE_TYPES[hardware] ?? "unknown");
  const isDevice = entries.includes("device");
  const speed = isDevice ? await reader.text(`${at}/speed`) : null;
  const pciid = isDevice ? await reader.linkName(`${at}/device`) : null;
  const driver = isDevice ? await reader.linkName(`${at}/device/driver/module`) : null;
  const [ipv4, ...secondaries] = addresses
    .filter((entry) => entry.device === device)
    .map((entry) => ipv4Facts(entry, type));
  return {
    device,
    ...(address && type !== "loopback" ? { macaddress: address } : {}),
    ...(mtu === null ? {} : { mtu: Number(mtu) }),
    active: state !== "down",
    type,
    promisc: (Number(flags ?? 0) & INTERFACE_PROMISCUOUS) !== 0,
    ...(speed ? { speed: Number(speed) } : {}),
    ...(pciid === null ? {} : { pciid }),
    ...(driver === null ? {} : { module: driver }),
    ...(bridge ? { interfaces: await reader.list(`${at}/brif`) } : {}),
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(secondaries.length === 0 ? {} : { ipv4_secondaries: secondaries }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
  };
}

function ipv4Facts({ address, netmask }: MachineAddress, type: string): Ipv4Facts {
  const mask = parseIpv4(netmask);
  const network = (parseIpv4(address) & mask) >>> 0;
  const prefix = prefixLength(mask);
  return {
    address,
    broadcast: type === "loopback" || prefix > 30 ? "" : formatIpv4((network | ~mask) >>> 0),
    netmask,
    network: formatIpv4(network),
    prefix: String(prefix),
  };
}

function defaultIpv4(
  routes: readonly Route[],
  network: Readonly<Record<string, InterfaceFacts>>,
): DefaultRouteFacts {
  const [route] = routes
    .filter(({ destination, mask, up }) => destination === 0 && mask === 0 && up)
    .sort((a, b) => a.metric - b.metric);
  if (route === undefined) return {};
  const { ipv4 } = network[route.device] ?? {};
  return {
    interface: route.device,
    alias: route.device,
    ...(route.gateway === 0 ? {} : { gateway: formatIpv4(route.gateway) }),
    ...ipv4,
    ...linkFacts(network[route.device]),
  };
}

function defaultIpv6(
  lines: readonly string[],
  network: Readonly<Record<string, InterfaceFacts>>,
): DefaultRouteFacts {
  const [route] = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([to, prefix, , , , , , , , device]) => /^0+$/.test(to ?? "") && prefix === "00" && device !== "lo",
    )
    .sort((a, b) => Number.parseInt(a[5] ?? "", 16) - Number.parseInt(b[5] ?? "", 16));
  if (route === undefined) return {};
  const [gateway = "", device = ""] = [route[4], route[9]];
  const facts = network[device]?.ipv6?.find(({ scope }) => scope === "global") ?? network[device]?.ipv6?.[0];
  return {
    interface: device,
    ...(/^0+$/.test(gateway) ? {} : { gateway: formatIpv6(gateway) }),
    ...facts,
    ...linkFacts(network[device]),
  };
}

function linkFacts(
  facts: InterfaceFacts | undefined,
): Pick<DefaultRouteFacts, "macaddress" | "mtu" | "type"> {
  if (facts === undefined) return {};
  const { macaddress, mtu, type } = facts;
  return {
    ...(macaddress === undefined ? {} : { macaddress }),
    ...(mtu === undefined ? {} : { mtu }),
    type,
  };
}

function parseResolv(lines: readonly string[]): Facts["dns"] {
  const words = lines.filter((line) => !/^\s*[#;]/.test(line)).map((line) => line.trim().split(/\s+/));
  const of = (name: string): readonly (readonly string[])[] =>
    words.filter(([first]) => first === name).map(([, ...rest]) => rest);
  const nameservers = of("nameserver").flat();
  const domain = of("domain").at(-1)?.[0];
  const search = of("search").at(-1);
  const options = of("options").flat();
  return {
    ...(nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined ? {} : { domain }),
    ...(search === undefined ? {} : { search }),
    ...(options.length === 0
      ? {}
      : {
          options: Object.fromEntries(
            options.map((option) => {
              const [name = "", value] = option.split(":");
              return [name, value ?? true];
            }),
          ),
        }),
  };
}

/** An IPv4 address as a 32-bit number. */
function parseIpv4(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** A 32-bit number as an IPv4 address. */
export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

/** /proc/net/route's hexadecimal addresses are in the machine's byte order: little-endian on all but s390x. */
function parseRouteAddress(hex: string, bigEndian: boolean): number {
  const value = Number.parseInt(hex, 16);
  if (bigEndian) return value;
  return (((value & 255) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** 32 hexadecimal digits as an IPv6 address in the form RFC 5952 asks for. */
function formatIpv6(hex: string): string {
  const groups = (hex.match(/.{4}/g) ?? []).map((group) => Number.parseInt(group, 16).toString(16));
  let [start, length] = [-1, 1];
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === "0") end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  if (start < 0) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** How many leading bits of a netmask are set. */
function prefixLength(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.log2(2 ** 32 - mask);
}
