/** Return the eight numbers of a valid IPv6 address, of 16 bits each: `::ffff:10.0.0.1` has 0xffff, 0x0a00 and 1 at its end. A zone (`%eth0`) is left out. */
export function groupsOfIPv6(address: string): readonly number[] {
  const plain = address
    .replace(/%.*$/s, "")
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
      const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
      return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
    });
  const [head = "", tail = ""] = plain.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16));
}
