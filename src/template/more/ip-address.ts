import { isIPv4, isIPv6 } from "node:net";
import { groupsOfIPv6 } from "../../core/values/ipv6.ts";

/** An IP address, of the network that its prefix says. */
export interface Address {
  readonly version: 4 | 6;
  readonly value: bigint;
  readonly prefix: number;
  /** False for a text that has only the address: its prefix is its whole length. */
  readonly hasPrefix: boolean;
  /** The first and the last address of the network. */
  readonly first: bigint;
  readonly last: bigint;
}

/** Return the length of addresses in bits. */
export function bitsOf(version: 4 | 6): number {
  return version === 4 ? 32 : 128;
}

function readNumber(text: string): { readonly version: 4 | 6; readonly value: bigint } | null {
  if (isIPv4(text))
    return { version: 4, value: text.split(".").reduce((value, part) => value * 256n + BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes("%")) return null;
  return {
    version: 6,
    value: groupsOfIPv6(text).reduce((value, group) => value * 65_536n + BigInt(group), 0n),
  };
}

/** Make an address of a network. */
export function makeAddress(version: 4 | 6, value: bigint, prefix?: number): Address {
  const bits = bitsOf(version);
  const host = (1n << BigInt(bits - (prefix ?? bits))) - 1n;
  const first = value & ~host;
  return {
    version,
    value,
    prefix: prefix ?? bits,
    hasPrefix: prefix !== undefined,
    first,
    last: first | host,
  };
}

function maskBits(text: string): number | null {
  const found = readNumber(text);
  if (found === null) return null;
  const bits = found.value.toString(2).padStart(bitsOf(found.version), "0");
  const ones = bits.replaceAll("0", "").length;
  if (/^1*0*$/.test(bits)) return ones;
  return /^0*1*$/.test(bits) ? bits.length - ones : null;
}

/** Read `192.168.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`; null for any other text. */
export function readAddress(text: string): Address | null {
  const [address = "", suffix, ...rest] = text.trim().split("/");
  const found = readNumber(address);
  if (found === null || rest.length > 0) return null;
  if (suffix === undefined) return makeAddress(found.version, found.value);
  const prefix = /^\d+$/.test(suffix) ? Number(suffix) : maskBits(suffix);
  return prefix === null || prefix > bitsOf(found.version)
    ? null
    : makeAddress(found.version, found.value, prefix);
}

/** Write an address without its prefix; one of IPv6 in the short form of RFC 5952. */
export function writeAddress(version: 4 | 6, value: bigint): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  if (value >> 32n === 0xffffn) return `::ffff:${writeAddress(4, value & 0xffff_ffffn)}`;
  const words = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 65_535n).toString(16),
  ).join(":");
  const longest = (words.match(/\b0(?::0)+\b/g) ?? []).sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return words;
  const at = words.search(new RegExp(`(?<![\\da-f])${longest}(?![\\da-f])`));
  return `${words.slice(0, at).replace(/:$/, "")}::${words.slice(at + longest.length).replace(/^:/, "")}`;
}

/** Tell whether a network lies in another. */
export function isWithin(inner: Address, outer: Address): boolean {
  return inner.version === outer.version && inner.first >= outer.first && inner.last <= outer.last;
}

/** The ranges that words such as `private` name. */
const RANGES = {
  private: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"],
  loopback: ["127.0.0.0/8", "::1/128"],
  "link-local": ["169.254.0.0/16", "fe80::/10"],
  multicast: ["224.0.0.0/4", "ff00::/8"],
  reserved: ["0.0.0.0/8", "240.0.0.0/4", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "::/8"],
} as const;

/** Tell whether an address is of a kind, such as private or multicast. */
export function isOfKind({ version, value }: Address, kind: keyof typeof RANGES): boolean {
  const lone = makeAddress(version, value);
  return RANGES[kind].some((range) => isWithin(lone, readAddress(range)!));
}

/** The first and the last address that hosts of a network can have; null for a network of one address. */
export function usableRange({ version, prefix, first, last }: Address): readonly [bigint, bigint] | null {
  const left = bitsOf(version) - prefix;
  if (left === 0) return null;
  return left === 1 ? [first, last] : [first + 1n, last - 1n];
}
