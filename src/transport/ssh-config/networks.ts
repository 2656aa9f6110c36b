import { BlockList, isIP } from "node:net";

/** Whether one of these addresses lies in one of the networks of a list: `10.0.0.0/8`, with commas between, `!` before one that must not hold (ssh_config(5), Match localnetwork). */
export function isInNetworks(
  addresses: readonly { readonly address: string; readonly family: string }[],
  list: string,
): boolean {
  let matched = false;
  for (const written of list.split(",")) {
    const [network = "", bits] = written.replace(/^!/, "").split("/");
    const family = isIP(network);
    const most = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? most : Number(bits);
    if (family === 0 || !Number.isInteger(prefix) || prefix < 0 || prefix > most) continue;
    const block = new BlockList();
    block.addSubnet(network, prefix, family === 4 ? "ipv4" : "ipv6");
    const fits = addresses.some(({ address, family: kind }) =>
      block.check(address, kind === "IPv4" ? "ipv4" : "ipv6"),
    );
    if (fits && written.startsWith("!")) return false;
    if (fits) matched = true;
  }
  return matched;
}
