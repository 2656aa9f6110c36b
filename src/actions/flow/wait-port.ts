import { lookup } from "node:dns/promises";
import { connect, isIPv4, isIPv6 } from "node:net";
import type { Duplex } from "node:stream";
import { isVolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { groupsOfIPv6 } from "../../core/values/ipv6.ts";
import { findMatches } from "../../system/endable.ts";

const MAX_READ = 1 << 20;

/** Options for checking a port. */
interface PortOptions {
  readonly host: string;
  readonly port: number;
  /** Limit for connecting, and then again for a match of `regex`. */
  readonly timeoutMs: number;
  /** The expression that the data from the port must match. */
  readonly regex?: RegExp | undefined;
  readonly signal: AbortSignal;
  /** Connects from a remote System. Default: from this machine. */
  readonly dial?: NonNullable<ReadSystem["dial"]>;
}

/** The state of a port. */
interface PortState {
  readonly open: boolean;
  /** The match of `regex` in its data, or null. */
  readonly match: RegExpExecArray | null;
}

/** Find the first match of an expression in a text. Fails with `CANCELLED`. */
export async function findIn(
  regex: RegExp,
  text: string,
  signal: AbortSignal,
): Promise<RegExpExecArray | null> {
  const [matches] = await findMatches(regex, [text], signal);
  return matches?.[0] ?? null;
}

/** Connect to a port and, with `regex`, read from it until the expression matches. */
export function lookAtPort({ host, port, timeoutMs, regex, signal, dial }: PortOptions): Promise<PortState> {
  return new Promise((resolve, reject) => {
    let socket: Duplex | undefined;
    let text = "";
    let open = false;
    let ended = false;
    let looking = Promise.resolve();
    const over = new AbortController();
    const finish = (match: RegExpExecArray | null = null): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      ended = true;
      over.abort();
      socket?.destroy();
      resolve({ open, match });
    };
    const onAbort = (): void => finish();
    let timer = setTimeout(finish, timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    const listen = (connected: Duplex): void => {
      socket = connected;
      connected.on("error", () => finish());
      connected.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString("latin1")).slice(-MAX_READ);
        if (regex === undefined) return;
        // Search one text after the other, so that the earliest match counts.
        looking = looking.then(async () => {
          if (ended) return;
          const match = await findIn(regex, Buffer.from(text, "latin1").toString("utf8"), over.signal);
          if (match !== null) finish(match);
        });
        looking.catch(() => {});
      });
      connected.once("end", () => {
        const end = (): void => finish();
        looking.then(end, end);
      });
    };
    const onConnect = (): void => {
      open = true;
      if (regex === undefined) return finish();
      clearTimeout(timer);
      timer = setTimeout(finish, timeoutMs);
    };
    if (dial === undefined) {
      const opened = connect({ host, port });
      listen(opened);
      opened.once("connect", onConnect);
    } else {
      dial(host, port).then(
        (opened) => {
          if (ended) return void (opened as Duplex).destroy();
          listen(opened as Duplex);
          onConnect();
        },
        (thrown: unknown) => (isVolleyError(thrown) ? reject(thrown) : finish()),
      );
    }
  });
}

/** Return every address of a host as `/proc/net/tcp` and `tcp6` write it; empty for an unknown name. */
export async function kernelAddresses(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.flatMap(({ address }) =>
    isIPv4(address)
      ? [kernelIPv4(address), kernelIPv6(`::ffff:${address}`)]
      : isIPv6(address)
        ? [kernelIPv6(address)]
        : [],
  );
}

function kernelIPv4(address: string): string {
  return kernelWord(address.split(".").map(Number));
}

/** Format 16 bytes as four words in the machine's byte order, which is little-endian on all of Node's platforms but s390x. */
function kernelIPv6(address: string): string {
  const bytes = groupsOfIPv6(address).flatMap((group) => [group >> 8, group & 0xff]);
  return [0, 4, 8, 12].map((from) => kernelWord(bytes.slice(from, from + 4))).join("");
}

function kernelWord(bytes: readonly number[]): string {
  const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, "0");
  return [...bytes].reverse().map(hex).join("");
}

/** The numbers of TCP states in `/proc/net/tcp` (the kernel's tcp_states.h), by Ansible's names. */
export const CONNECTION_STATES = {
  ESTABLISHED: "01",
  SYN_SENT: "02",
  SYN_RECV: "03",
  FIN_WAIT1: "04",
  FIN_WAIT2: "05",
  TIME_WAIT: "06",
} as const;

/** The name of a TCP state. */
export type ConnectionState = keyof typeof CONNECTION_STATES;

/** The connections to count. */
interface ConnectionFilter {
  readonly port: number;
  /** Local addresses, as the kernel writes them; that of 0.0.0.0 or :: stands for any. */
  readonly local: readonly string[];
  /** Remote addresses to leave out. */
  readonly excluded: readonly string[];
  readonly states: readonly ConnectionState[];
}

const ANY = ["00000000", "0".repeat(32), "0000000000000000FFFF000000000000"];

/** Count the connections to a port of this machine (proc(5), `/proc/net/tcp` and `tcp6`). */
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
