/** An IPv4 address as a 32-bit number. */
export function parseIpv4(address: string): number {
  return address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

/** A 32-bit number as an IPv4 address. */
export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");
}

/** /proc/net/route's hexadecimal addresses are in the machine's byte order: little-endian on all but s390x. */
export function parseRouteAddress(hex: string, bigEndian: boolean): number {
  const value = Number.parseInt(hex, 16);
  if (bigEndian) return value;
  return (((value & 255) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/** 32 hexadecimal digits as an IPv6 address in the form RFC 5952 asks for. */
export function formatIpv6(hex: string): string {
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
export function prefixLength(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.log2(2 ** 32 - mask);
}
