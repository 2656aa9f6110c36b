import { integer } from "../../core/values/value.ts";
import { fail } from "../errors.ts";
import { asNumber, type Callable, callable, intArgument, isInt, isList, iterate, str } from "../values.ts";
import {
  type Address,
  bitsOf,
  isOfKind,
  isWithin,
  makeAddress,
  readAddress,
  usableRange,
  writeAddress,
} from "./ip-address.ts";

const show = ({ version, value }: Address): string => writeAddress(version, value);
const withPrefix = (address: Address): string => `${show(address)}/${address.prefix}`;
const isNetwork = ({ hasPrefix, prefix, version, value, first }: Address): boolean =>
  hasPrefix && prefix < bitsOf(version) && value === first;
const isBroadcast = ({ version, prefix, value, last }: Address): boolean =>
  version === 4 && prefix < 31 && value === last;
const mask = ({ version, first, last }: Address): string =>
  writeAddress(version, ((1n << BigInt(bitsOf(version))) - 1n) ^ (first ^ last));
const hostMask = ({ version, first, last }: Address): string => writeAddress(version, first ^ last);

const wrapped = (address: Address): string =>
  (address.version === 6 ? `[${show(address)}]` : show(address)) +
  (address.hasPrefix ? `/${address.prefix}` : "");

/** Answer with the address itself, or with nothing. */
const given =
  (holds: (address: Address) => boolean) =>
  (address: Address, text: string): unknown =>
    holds(address) ? text : null;

/** Refuse an address whose network is not known. */
const ofNetwork =
  (body: (address: Address) => unknown) =>
  (address: Address): unknown =>
    address.hasPrefix ? body(address) : fail("Not a network address");

const ofUsable = (body: (range: readonly [bigint, bigint], address: Address) => unknown) =>
  ofNetwork((address) => {
    const range = usableRange(address);
    return range === null ? null : body(range, address);
  });

/** The address of a host, with its network. */
const hostWithPrefix = (address: Address): unknown =>
  isNetwork(address) || isBroadcast(address) ? false : withPrefix(address);

const hostOnly =
  (write: (address: Address) => string) =>
  (address: Address): unknown =>
    !address.hasPrefix || address.first === address.last || isNetwork(address) ? null : write(address);

const plainAddress = (address: Address): unknown =>
  address.version === 4 && isNetwork(address) ? null : show(address);

function toIPv4(address: Address, text: string): unknown {
  const { version, value, prefix, hasPrefix } = address;
  if (version === 4) return text;
  const low = value >> 32n === 0xffffn ? value & 0xffff_ffffn : value;
  if (low >> 32n !== 0n || prefix < 96) return false;
  return `${writeAddress(4, low)}/${hasPrefix ? prefix - 96 : 32}`;
}

function toIPv6(address: Address, text: string): unknown {
  if (address.version === 6) return text;
  return `::ffff:${show(address)}/${address.prefix + 96}`;
}

function sixToFour(address: Address): unknown {
  const { version, value } = address;
  if (version === 6) return value >> 112n === 0x2002n && !isNetwork(address) ? withPrefix(address) : false;
  if (isNetwork(address) || isOfKind(address, "loopback") || isOfKind(address, "multicast")) return false;
  const hex = value.toString(16).padStart(8, "0");
  return `2002:${hex.slice(0, 4)}:${hex.slice(4)}::1/48`;
}

function peer({ version, prefix, value, first }: Address): unknown {
  const left = bitsOf(version) - prefix;
  if (left === 1) return writeAddress(version, value ^ 1n);
  if (left !== 2) return fail("Not a point-to-point network");
  const at = value - first;
  if (at !== 1n && at !== 2n) return fail("Address is not a host of its network");
  return writeAddress(version, at === 1n ? value + 1n : value - 1n);
}

function reverseName({ version, value }: Address): string {
  return version === 4
    ? `${writeAddress(4, value).split(".").reverse().join(".")}.in-addr.arpa.`
    : `${[...value.toString(16).padStart(32, "0")].reverse().join(".")}.ip6.arpa.`;
}

const isPublic = (address: Address): boolean =>
  !(["private", "loopback", "multicast", "reserved", "link-local"] as const).some((kind) =>
    isOfKind(address, kind),
  );
const sizeOf = ({ first, last }: Address): bigint => last - first + 1n;

/** The questions that `ipaddr` answers about an address; `text` is the address as it was given. */
const ANSWERS: Readonly<Record<string, (address: Address, text: string) => unknown>> = {
  "": (address) => (address.hasPrefix ? withPrefix(address) : show(address)),
  "6to4": sixToFour,
  address: plainAddress,
  "address/prefix": hostWithPrefix,
  bool: () => true,
  broadcast: ({ version, last, prefix }) =>
    bitsOf(version) - prefix < 2 ? null : writeAddress(version, last),
  cidr: withPrefix,
  first_usable: ofUsable(([first], { version }) => writeAddress(version, first)),
  gateway: hostWithPrefix,
  gw: hostWithPrefix,
  host: (address) => (isNetwork(address) ? null : withPrefix(address)),
  "host/prefix": hostWithPrefix,
  hostmask: hostMask,
  hostnet: hostWithPrefix,
  int: ({ value, prefix, hasPrefix }) => (hasPrefix ? `${value}/${prefix}` : integer(value)),
  ip: plainAddress,
  "ip/prefix": hostOnly(withPrefix),
  ip_netmask: hostOnly((address) => `${show(address)} ${mask(address)}`),
  ipv4: toIPv4,
  v4: toIPv4,
  ipv6: toIPv6,
  v6: toIPv6,
  last_usable: ofUsable(([, last], { version }) => writeAddress(version, last)),
  "link-local": given((address) => isOfKind(address, "link-local")),
  lo: given((address) => isOfKind(address, "loopback")),
  loopback: given((address) => isOfKind(address, "loopback")),
  multicast: given((address) => isOfKind(address, "multicast")),
  net: (address) => (isNetwork(address) ? withPrefix(address) : null),
  next_usable: ofUsable(([first, last], { version, value }) =>
    value + 1n >= first && value + 1n <= last ? writeAddress(version, value + 1n) : null,
  ),
  netmask: mask,
  network: ({ version, first }) => writeAddress(version, first),
  network_id: ({ version, first }) => writeAddress(version, first),
  "network/prefix": ({ version, first, prefix }) => `${writeAddress(version, first)}/${prefix}`,
  network_netmask: (address) => `${writeAddress(address.version, address.first)} ${mask(address)}`,
  network_wildcard: (address) => `${writeAddress(address.version, address.first)} ${hostMask(address)}`,
  peer: ofNetwork(peer),
  prefix: ({ prefix }) => prefix,
  previous_usable: ofUsable(([first, last], { version, value }) =>
    value - 1n >= first && value - 1n <= last ? writeAddress(version, value - 1n) : null,
  ),
  private: given((address) => isOfKind(address, "private")),
  public: given(isPublic),
  range_usable: ofUsable(
    ([first, last], { version }) => `${writeAddress(version, first)}-${writeAddress(version, last)}`,
  ),
  revdns: reverseName,
  router: hostWithPrefix,
  size: (address) => integer(sizeOf(address)),
  size_usable: (address) => {
    const range = usableRange(address);
    return range === null ? 0 : integer(range[1] - range[0] + 1n);
  },
  subnet: ({ version, first, prefix }) => `${writeAddress(version, first)}/${prefix}`,
  type: (address) => (isNetwork(address) ? "network" : "address"),
  unicast: given((address) => !isOfKind(address, "multicast")),
  version: ({ version }) => version,
  wildcard: hostMask,
  wrap: wrapped,
};

function answer(address: Address, text: string, query: string, filter: string): unknown {
  const known = Object.hasOwn(ANSWERS, query) ? ANSWERS[query] : undefined;
  if (known !== undefined) return known(address, text);
  if (/^-?\d+$/.test(query)) {
    if (!address.hasPrefix || address.first === address.last) return address.hasPrefix ? text : show(address);
    const index = BigInt(query);
    const at = index < 0n ? address.last + 1n + index : address.first + index;
    const isInside = at >= address.first && at <= address.last;
    return isInside ? `${writeAddress(address.version, at)}/${address.prefix}` : false;
  }
  const outer = readAddress(query) ?? fail(`${filter}: unknown filter type: ${query}`);
  return isWithin(address, outer) ? text : null;
}

function ask(version: 4 | 6 | null, filter: string, value: unknown, question: unknown): unknown {
  if (isList(value))
    return value
      .map((one) => ask(version, filter, one, question))
      .filter((one) => one !== false && one !== null && one !== "" && one !== 0);
  if (typeof value === "boolean" || value === null) return false;
  const number = isInt(value) ? BigInt(value) : undefined;
  const address =
    number === undefined
      ? readAddress(str(value))
      : number < 0n || number >> 128n !== 0n
        ? null
        : makeAddress(version ?? (number >> 32n === 0n ? 4 : 6), number);
  if (address === null || (version !== null && address.version !== version)) return false;
  const query = str(question);
  const text = number === undefined ? str(value) : query === "" ? show(address) : withPrefix(address);
  return answer(address, text, query, filter);
}

const ofVersion = (version: 4 | 6 | null, name: string): Callable =>
  callable(["value", "query"], (value: unknown, question: unknown = "") =>
    ask(version, name, value, question),
  );

function need(value: unknown): Address {
  return readAddress(str(value)) ?? fail(`'${str(value)}' is no IP address or network`);
}

/** Return the address `by` steps from another, without a prefix. */
function moved({ version, value }: Address, by: bigint): string {
  const at = value + by;
  return at < 0n || at >> BigInt(bitsOf(version)) !== 0n
    ? fail(`there is no address ${by} from ${writeAddress(version, value)}`)
    : writeAddress(version, at);
}

/** Split a network into subnets of `prefix`, or find the nth of them. */
function subnet(value: unknown, query: unknown = "", index: unknown = null): unknown {
  const address = ask(null, "ipsubnet", value, "") === false ? null : readAddress(str(value));
  if (address === null) return false;
  const { version, first, last, prefix } = address;
  const network = (at: bigint, size: number): string => `${writeAddress(version, at)}/${size}`;
  if (query === "") return network(first, prefix);
  if (!/^\d+$/.test(str(query))) {
    const outer = need(query);
    if (!isWithin(address, outer)) return fail(`${withPrefix(address)} is not in the subnet ${str(query)}`);
    const step = 1n << BigInt(bitsOf(version) - prefix);
    return str(integer((first - outer.first) / step + 1n));
  }
  const size = intArgument(query, 0);
  const step = 1n << BigInt(bitsOf(version) - size);
  if (index !== null) {
    const at = BigInt(intArgument(index, 0));
    if (size < prefix) {
      const outer = Array.from({ length: prefix - size }, (_, step) =>
        makeAddress(version, first, size + step),
      );
      const found = outer.at(Number(at));
      return found === undefined ? false : network(found.first, found.prefix);
    }
    const start = at < 0n ? last + 1n + at * step : first + at * step;
    return start < first || start > last ? false : network(start, size);
  }
  if (size < prefix) return network(makeAddress(version, first, size).first, size);
  return str(integer((last - first + 1n) / step));
}

/** Merge networks, as few as possible; or return the smallest one that spans them. */
function merge(value: unknown, action: unknown = "merge"): unknown {
  const networks = iterate(value).map(need);
  const [head] = networks;
  if (head === undefined) return [];
  if (action === "span") {
    const low = networks.reduce((least, one) => (one.first < least.first ? one : least), head).first;
    const high = networks.reduce((most, one) => (one.last > most.last ? one : most), head).last;
    let prefix = bitsOf(head.version);
    while (makeAddress(head.version, low, prefix).last < high) prefix--;
    return `${writeAddress(head.version, makeAddress(head.version, low, prefix).first)}/${prefix}`;
  }
  if (action !== "merge") return fail(`cidr_merge: invalid action '${str(action)}'`);
  const ranges: [version: 4 | 6, first: bigint, last: bigint][] = [];
  const sorted = [...networks].sort((a, b) => a.version - b.version || (a.first < b.first ? -1 : 1));
  for (const { version, first, last } of sorted) {
    const before = ranges.at(-1);
    if (before !== undefined && before[0] === version && first <= before[2] + 1n) {
      if (last > before[2]) before[2] = last;
    } else ranges.push([version, first, last]);
  }
  return ranges.flatMap(([version, first, last]) => covering(version, first, last));
}

/** Return the fewest networks that cover a range and nothing else. */
function covering(version: 4 | 6, first: bigint, last: bigint): string[] {
  const networks: string[] = [];
  for (let at = first; at <= last; ) {
    let prefix = bitsOf(version);
    while (prefix > 0) {
      const wider = makeAddress(version, at, prefix - 1);
      if (wider.first !== at || wider.last > last) break;
      prefix--;
    }
    networks.push(`${writeAddress(version, at)}/${prefix}`);
    at = makeAddress(version, at, prefix).last + 1n;
  }
  return networks;
}

const MAC_STYLES: Readonly<Record<string, (hex: string) => string>> = {
  "": (hex) => hex.replace(/..(?=.)/g, "$&:"),
  linux: (hex) => hex.replace(/..(?=.)/g, "$&:"),
  unix: (hex) => hex.replace(/..(?=.)/g, "$&:").replace(/\b0(?=.)/g, ""),
  bare: (hex) => hex.toUpperCase(),
  cisco: (hex) => hex.replace(/....(?=.)/g, "$&."),
  eui48: (hex) => hex.toUpperCase().replace(/..(?=.)/g, "$&-"),
  win: (hex) => hex.toUpperCase().replace(/..(?=.)/g, "$&-"),
  pgsql: (hex) => hex.replace(/.{6}(?=.)/g, "$&:"),
  postgresql: (hex) => hex.replace(/.{6}(?=.)/g, "$&:"),
};

/** Return the twelve digits of a hardware address in any usual notation; null for any other text. */
function macDigits(text: string): string | null {
  const isNotation =
    /^(?:[\da-f]{1,2}([:-]))(?:[\da-f]{1,2}\1){4}[\da-f]{1,2}$|^[\da-f]{4}[.:-][\da-f]{4}[.:-][\da-f]{4}$|^[\da-f]{6}[:-][\da-f]{6}$|^[\da-f]{12}$/i.test(
      text,
    );
  if (!isNotation) return null;
  const digits = text
    .split(/[:.-]/)
    .map((part, _, all) => part.padStart(12 / all.length, "0"))
    .join("");
  return digits.toLowerCase();
}

function hardware(filter: string): Callable {
  return callable(["value", "query"], (value: unknown, query: unknown = "") => {
    const digits = macDigits(str(value));
    if (query === "bool") return digits !== null;
    if (digits === null) return query === "" ? "" : fail(`${filter}: not a hardware address: ${str(value)}`);
    if (query === "int") return Number.parseInt(digits, 16);
    const style = MAC_STYLES[str(query)];
    if (style === undefined) return fail(`${filter}: unknown filter type: ${str(query)}`);
    return query === "" ? str(value) : style(digits);
  });
}

/** Make the IPv6 address that a host with a hardware address gives itself in a network (RFC 4862). */
function slaac(value: unknown, mac: unknown): unknown {
  const network = readAddress(str(value));
  const digits = macDigits(str(mac));
  if (network === null || digits === null || network.version === 4) return false;
  const id = BigInt(`0x${digits.slice(0, 6)}fffe${digits.slice(6)}`) ^ (1n << 57n);
  return writeAddress(6, (network.first & ~((1n << 64n) - 1n)) | id);
}

/** The filters of `ansible.utils` and `ansible.netcommon` for addresses. */
export const ipFilters: Readonly<Record<string, Callable>> = {
  ipaddr: ofVersion(null, "ipaddr"),
  ipv4: ofVersion(4, "ipv4"),
  ipv6: ofVersion(6, "ipv6"),
  ipwrap: callable(["value"], (value: unknown) => {
    const wrap = (one: unknown): unknown => {
      const address = typeof one === "string" ? readAddress(one) : null;
      return address === null ? one : wrapped(address);
    };
    return isList(value) ? value.map(wrap) : wrap(value);
  }),
  ipmath: callable(["value", "amount"], (value: unknown, amount: unknown) =>
    moved(need(value), BigInt(intArgument(amount, 0))),
  ),
  ipsubnet: callable(["value", "query", "index"], subnet),
  nthhost: callable(["value", "query"], (value: unknown, query: unknown = "") => {
    const address = readAddress(str(value));
    if (address === null || query === "") return false;
    const nth = BigInt(intArgument(query, 0));
    const at = nth < 0n ? address.last + 1n + nth : address.first + nth;
    return at < address.first || at > address.last ? false : writeAddress(address.version, at);
  }),
  next_nth_usable: callable(["value", "offset"], (value: unknown, offset: unknown) =>
    nthUsable(value, offset, 1),
  ),
  previous_nth_usable: callable(["value", "offset"], (value: unknown, offset: unknown) =>
    nthUsable(value, offset, -1),
  ),
  network_in_usable: callable(["value", "test"], (value: unknown, test: unknown) => {
    const [outer, inner] = [need(value), need(test)];
    const range = usableRange(outer);
    return (
      inner.version === outer.version && range !== null && inner.first >= range[0] && inner.last <= range[1]
    );
  }),
  network_in_network: callable(["value", "test"], (value: unknown, test: unknown) =>
    isWithin(need(test), need(value)),
  ),
  reduce_on_network: callable(["value", "network"], (value: unknown, network: unknown) =>
    iterate(value).filter((one) => isWithin(need(one), need(network))),
  ),
  cidr_merge: callable(["value", "action"], merge),
  usable_range: callable(["value"], (value: unknown) => {
    const { version, first, last } = need(value);
    if (last - first > 65_535n) fail(`usable_range: ${str(value)} has too many addresses to list`);
    const all = Array.from({ length: Number(last - first) + 1 }, (_, index) =>
      writeAddress(version, first + BigInt(index)),
    );
    return new Map<string, unknown>([
      ["usable_ips", all],
      ["number_of_ips", all.length],
    ]);
  }),
  ip4_hex: callable(["value", "delimiter"], (value: unknown, delimiter: unknown = "") =>
    str(value)
      .split(".")
      .map((part) => Number(part).toString(16).padStart(2, "0"))
      .join(str(delimiter)),
  ),
  hwaddr: hardware("hwaddr"),
  macaddr: hardware("macaddr"),
  slaac: callable(["value", "query"], slaac),
};

function nthUsable(value: unknown, offset: unknown, sign: 1 | -1): unknown {
  const address = readAddress(str(value));
  const by = asNumber(offset) ?? fail("Must pass in an integer");
  if (address === null) return false;
  const range = usableRange(address);
  const at = address.value + BigInt(sign * by);
  return range === null || at < range[0] || at > range[1] ? null : writeAddress(address.version, at);
}

const is = (holds: (address: Address) => boolean): Callable =>
  callable(["value"], (value: unknown) => {
    const address = readAddress(str(value));
    return address !== null && holds(address);
  });

const isLone = ({ hasPrefix }: Address): boolean => !hasPrefix;
const isMask = (value: unknown, startsWithOnes: boolean): boolean => {
  const address = readAddress(str(value));
  if (address?.version !== 4 || address.hasPrefix) return false;
  const bits = address.value.toString(2).padStart(32, "0");
  return (startsWithOnes ? /^1*0*$/ : /^0*1*$/).test(bits);
};
const inNetworks = (one: unknown, networks: unknown): boolean[] =>
  iterate(networks).map((network) => isWithin(need(one), need(network)));

/** The tests of `ansible.utils` for addresses. */
export const ipTests: Readonly<Record<string, Callable>> = {
  ip: is(isLone),
  ip_address: is(isLone),
  ipv4: is(({ version }) => version === 4),
  ipv4_address: is((address) => address.version === 4 && isLone(address)),
  ipv4_netmask: callable(["value"], (value: unknown) => isMask(value, true)),
  ipv4_hostmask: callable(["value"], (value: unknown) => isMask(value, false)),
  ipv6: is(({ version }) => version === 6),
  ipv6_address: is((address) => address.version === 6 && isLone(address)),
  ipv6_ipv4_mapped: is(({ version, value }) => version === 6 && value >> 32n === 0xffffn),
  ipv6_sixtofour: is(({ version, value }) => version === 6 && value >> 112n === 0x2002n),
  ipv6_teredo: is(({ version, value }) => version === 6 && value >> 96n === 0x2001_0000n),
  loopback: is((address) => isOfKind(address, "loopback")),
  mac: callable(["value"], (value: unknown) => macDigits(str(value)) !== null),
  multicast: is((address) => isOfKind(address, "multicast")),
  private: is((address) => isOfKind(address, "private") || isOfKind(address, "loopback")),
  public: is(isPublic),
  reserved: is((address) => isOfKind(address, "reserved")),
  unspecified: is(({ value }) => value === 0n),
  in_network: callable(["value", "network"], (value: unknown, network: unknown) =>
    isWithin(need(value), need(network)),
  ),
  subnet_of: callable(["value", "network"], (value: unknown, network: unknown) =>
    isWithin(need(value), need(network)),
  ),
  supernet_of: callable(["value", "network"], (value: unknown, network: unknown) =>
    isWithin(need(network), need(value)),
  ),
  in_any_network: callable(["value", "networks"], (value: unknown, networks: unknown) =>
    inNetworks(value, networks).some(Boolean),
  ),
  in_one_network: callable(
    ["value", "networks"],
    (value: unknown, networks: unknown) => inNetworks(value, networks).filter(Boolean).length === 1,
  ),
};
