import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import { DelayLine } from "./delay-line.ts";

/** What passed through a proxy since it was last reset. */
export interface Traffic {
  /** From the controller to the hosts. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly connections: number;
  /** Endpoints that were connected to. */
  readonly endpoints: number;
  /**
   * How often, over all connections, the controller spoke after the other side had: at most as many round trips were
   * waited for one after the other.
   */
  readonly flights: number;
}

/** An address hosts are reached at. */
export interface ProxiedEndpoint {
  readonly address: string;
  readonly port: number;
}

interface Counts {
  sentBytes: number;
  receivedBytes: number;
  connections: number;
  flights: number;
}

/**
 * TCP proxies on this machine, one for each endpoint: they count, and put the time of a round trip between. What a
 * distance has beside that (loss, TCP's slow start, less bandwidth) they do not have.
 */
export class ProxySet {
  readonly #servers = new Map<string, Server>();
  readonly #counts = new Map<string, Counts>();
  readonly #connections = new Set<() => void>();
  /** Added between here and every host, in milliseconds there and back. */
  roundTripMs = 0;

  /** Starts one for an endpoint; gives the port on 127.0.0.1. */
  async open({ address, port }: ProxiedEndpoint): Promise<number> {
    const key = endpointKey({ address, port });
    const known = this.#servers.get(key);
    if (known !== undefined) return (known.address() as AddressInfo).port;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
      this.#carry(client, key, { address, port }),
    );
    this.#servers.set(key, server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  /** Counts from 0 again. */
  reset(): void {
    this.#counts.clear();
  }

  /** What has passed since. */
  traffic(): Traffic {
    const sum = { sentBytes: 0, receivedBytes: 0, connections: 0, flights: 0 };
    for (const counts of this.#counts.values()) {
      sum.sentBytes += counts.sentBytes;
      sum.receivedBytes += counts.receivedBytes;
      sum.connections += counts.connections;
      sum.flights += counts.flights;
    }
    return { ...sum, endpoints: this.#counts.size };
  }

  /** Ends the connections there are: a program that keeps one for its next start has to connect anew. */
  closeConnections(): void {
    for (const end of this.#connections) end();
    this.#connections.clear();
  }

  close(): void {
    this.closeConnections();
    for (const server of this.#servers.values()) server.close();
  }

  #carry(client: Socket, key: string, target: ProxiedEndpoint): void {
    const counts = this.#countsOf(key);
    counts.connections++;
    const { roundTripMs } = this;
    const delayMs = roundTripMs / 2;
    const acceptedMs = performance.now();
    const upstream = new Socket({ allowHalfOpen: true });
    let answered = true;
    const lines = [
      new DelayLine(client, upstream, {
        delayMs,
        // The kernel has accepted at once; far away, the controller would have waited for that.
        notBeforeMs: acceptedMs + roundTripMs,
        onBytes: (bytes) => {
          counts.sentBytes += bytes;
          if (answered) counts.flights++;
          answered = false;
        },
      }),
      new DelayLine(upstream, client, {
        delayMs,
        onBytes: (bytes) => {
          counts.receivedBytes += bytes;
          answered = true;
        },
      }),
    ];
    const open = (): unknown =>
      upstream.connect({ host: target.address, port: target.port, noDelay: true, keepAlive: true });
    // The last word of the handshake reaches the host one and a half round trips after the first was said.
    const opening = roundTripMs === 0 ? undefined : setTimeout(open, roundTripMs * 1.5);
    if (opening === undefined) open();
    const end = (): void => {
      clearTimeout(opening);
      client.destroy();
      upstream.destroy();
      for (const line of lines) line.stop();
      this.#connections.delete(end);
    };
    this.#connections.add(end);
    client.once("error", end).once("close", end);
    // One side that ends in good order ends the other through its line.
    upstream.once("error", end);
  }

  #countsOf(key: string): Counts {
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      counts = { sentBytes: 0, receivedBytes: 0, connections: 0, flights: 0 };
      this.#counts.set(key, counts);
    }
    return counts;
  }
}

/** How an endpoint is named in the file that says where its proxy is. */
export function endpointKey({ address, port }: ProxiedEndpoint): string {
  return `${address} ${port}`;
}
