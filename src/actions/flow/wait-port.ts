import { lookup } from "node:dns/promises";
import { connect, isIPv4, isIPv6 } from "node:net";
import type { Duplex } from "node:stream";
import { isVolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { findMatches } from "../../system/endable.ts";

const MAX_READ = 1 << 20;

/** How a port is looked at. */
export interface PortOptions {
  readonly host: string;
  readonly port: number;
  /** For connecting, and after it for `regex` to be said. */
  readonly timeoutMs: number;
  /** What the other end must say. */
  readonly regex?: RegExp | undefined;
  readonly signal: AbortSignal;
  /** How a System that is far away connects. */
  readonly dial?: NonNullable<ReadSystem["dial"]>;
}

/** What a port has to say. */
export interface PortState {
  readonly open: boolean;
  /** What it said that `regex` matches; null when it did not, or was not asked. */
  readonly match: RegExpExecArray | null;
}

/** The first match of an expression in a text. Fails with `CANCELLED`. */
export async function findIn(
  regex: RegExp,
  text: string,
  signal: AbortSignal,
): Promise<RegExpExecArray | null> {
  const [matches] = await findMatches(regex, [text], signal);
  return matches?.[0] ?? null;
}

/** Connects to a port, and listens to what it says when there is something to be found in it. */
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
        // In the order in which it is said: a look at less of it is over first.
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

/** Every address of a host, as `/proc/net/tcp` and `tcp6` write them; empty when its name is not known. */
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

/** 16 bytes as four words in the machine's order, which is little-endian wherever Node runs but on s390x. */
function kernelIPv6(address: string): string {
  const bytes = bytesOfIPv6(address);
  return [0, 4, 8, 12].map((from) => kernelWord(bytes.slice(from, from + 4))).join("");
}

function kernelWord(bytes: readonly number[]): string {
  const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, "0");
  return [...bytes].reverse().map(hex).join("");
}

function bytesOfIPv6(address: string): readonly number[] {
  const [plain = ""] = address.split("%");
  const withHex = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [head = "", tail] = withHex.split("::");
  const groups = (text: string): readonly string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill("0"), ...after];
  return all.flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
