import type { Endpoint } from "../transport.ts";

/**
 * A ProxyCommand that goes through these hosts, the nearest first. `ssh -J` would do, but gives the hosts on the way
 * none of the options it was called with, such as where known keys are.
 */
export function proxyCommand(jumps: readonly Endpoint[]): string {
  const last = jumps.at(-1)!;
  const { destination, arguments: given } = last.ssh!.openSsh;
  // ssh fills in tokens, once for each command that holds another: what is not meant for this one is doubled.
  const words = ["ssh", "-o", "BatchMode=yes", ...given, "-W", "TARGET", "--", destination].map((word) =>
    word === "TARGET" ? "'[%h]:%p'" : shellQuote(word.replaceAll("%", "%%")),
  );
  return words.join(" ");
}

function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
