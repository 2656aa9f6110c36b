import { setMaxListeners } from "node:events";
import type { TransferContext, TransferSettings } from "./context.ts";
import { createLocalHashes } from "./local-hash.ts";
import { HERE, openParts } from "./parts.ts";
import type { TransferListener, TransferResult } from "./result.ts";
import { type TransferHost, transferHost } from "./transfer-host.ts";
import { windowBytes } from "./window.ts";

/** How a transfer is done. */
export interface TransferOptions extends TransferSettings {
  /** How many hosts are worked on at a time. */
  readonly forks: number;
  readonly listener: TransferListener;
  /** Drops all connections; what has been sent stays, for the next time. */
  readonly signal: AbortSignal;
}

/**
 * Works on many hosts, some at a time, and gives how it went in the hosts' order. What goes wrong on a host is in its
 * result.
 */
export async function transfer(
  hosts: readonly TransferHost[],
  { forks, listener, signal, preserve, checksum, check }: TransferOptions,
  work: (context: TransferContext, host: TransferHost) => Promise<void>,
): Promise<readonly TransferResult[]> {
  // Every host at work listens: that is no leak.
  setMaxListeners(0, signal);
  const localHashes = createLocalHashes();
  const localParts = openParts(HERE);
  const results: TransferResult[] = [];
  const atWork = Math.min(forks, hosts.length);
  let next = 0;
  const takeHosts = async (): Promise<void> => {
    for (let index = next++; index < hosts.length; index = next++) {
      const host = hosts[index]!;
      if (!signal.aborted) listener.start?.(host.name);
      const result = await transferHost(host, {
        settings: { preserve, checksum, check },
        localHashes,
        localParts,
        windowBytes: windowBytes(atWork),
        listener,
        signal,
        work: (context) => work(context, host),
      });
      results[index] = result;
      listener.end?.(result);
    }
  };
  await Promise.all(Array.from({ length: atWork }, takeHosts));
  return results;
}
