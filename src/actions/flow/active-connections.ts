import type { ReadSystem } from "../../core/system.ts";

/** States of a TCP connection as `/proc/net/tcp` numbers them (the kernel's tcp_states.h), by the names Ansible has for them. */
export const CONNECTION_STATES = {
  ESTABLISHED: "01",
  SYN_SENT: "02",
  SYN_RECV: "03",
  FIN_WAIT1: "04",
  FIN_WAIT2: "05",
  TIME_WAIT: "06",
} as const;

/** The name of a connection's state. */
export type ConnectionState = keyof typeof CONNECTION_STATES;

/** Which connections are counted. */
export interface ConnectionFilter {
  readonly port: number;
  /** Addresses of this end, as the kernel writes them; any address of the machine is among them when they are those of 0.0.0.0. */
  readonly local: readonly string[];
  /** Addresses of other ends that do not count. */
  readonly excluded: readonly string[];
  readonly states: readonly ConnectionState[];
}

const ANY = ["00000000", "0".repeat(32), "0000000000000000FFFF000000000000"];

/** How many connections to a port of this machine there are (proc(5), `/proc/net/tcp` and `tcp6`). */
export async function countConnections(
  system: ReadSystem,
  { port, local, excluded, states }: ConnectionFilter,
): Promise<number> {
  const wanted = states.map((state): string => CONNECTION_STATES[state]);
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  const anywhere = local.some((address) => ANY.includes(address));
  let count = 0;
  for (const path of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const table = (await system.readIfExists(path))?.toString("utf8") ?? "";
    for (const line of table.split("\n").slice(1)) {
      const [, here = "", there = "", state = ""] = line.trim().split(/\s+/);
      const [address = "", itsPort] = here.split(":");
      const counts =
        itsPort === hexPort &&
        wanted.includes(state) &&
        (anywhere || local.includes(address)) &&
        !excluded.includes(there.split(":")[0] ?? "");
      if (counts) count++;
    }
  }
  return count;
}
