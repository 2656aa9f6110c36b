import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";

import { median } from "./statistics.ts";

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

/** What may wait on a line: for its time to come, or for a receiver that does not read. */
const MAX_DELAYED_BYTES = 64 << 20;
const MAX_UNREAD_BYTES = 256 << 10;

/** Timers fire up to a millisecond late: what is due sooner than this goes at once, so that errors cancel out. */
const EARLY_MS = 0.5;

/** How a {@link DelayLine} carries. */
export interface DelayLineOptions {
  /** From when bytes arrive to when they are passed on, in milliseconds; 0: at once. */
  readonly delayMs: number;
  /** Nothing counts as having arrived before, by `performance.now()`. */
  readonly notBeforeMs?: number;
  /** Called as bytes arrive. */
  readonly onBytes?: (count: number) => void;
}

/**
 * One direction of a connection, later by a fixed time. Each chunk waits for itself, so that as many as are under way at
 * once arrive as fast as they were sent: a delay, and no limit on throughput but what the receiver takes.
 */
export class DelayLine {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #options: DelayLineOptions;
  #queue: { readonly dueMs: number; readonly chunk: Buffer | null }[] = [];
  /** Place of the first one still waiting. */
  #head = 0;
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #blocked = false;

  constructor(source: Socket, sink: Socket, options: DelayLineOptions) {
    this.#source = source;
    this.#sink = sink;
    this.#options = options;
    source.on("data", (chunk) => this.#take(Buffer.from(chunk)));
    source.once("end", () => this.#enqueue(null));
    const unblock = (): void => {
      this.#blocked = false;
      this.#release();
    };
    this.#blocked = sink.pending;
    if (sink.pending) sink.once("connect", unblock);
    sink.on("drain", unblock);
  }

  /** Bytes that have arrived and not been passed on. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Drops what is still waiting. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#head = 0;
    this.#waitingBytes = 0;
  }

  #take(chunk: Buffer): void {
    this.#options.onBytes?.(chunk.length);
    this.#waitingBytes += chunk.length;
    this.#enqueue(chunk);
    if (this.#waitingBytes > this.#limitBytes) this.#source.pause();
  }

  #enqueue(chunk: Buffer | null): void {
    const { delayMs, notBeforeMs = 0 } = this.#options;
    this.#queue.push({ dueMs: Math.max(performance.now(), notBeforeMs) + delayMs, chunk });
    if (this.#timer === undefined) this.#release();
  }

  get #limitBytes(): number {
    return this.#options.delayMs > 0 ? MAX_DELAYED_BYTES : MAX_UNREAD_BYTES;
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = performance.now();
    let next = this.#queue[this.#head];
    while (next !== undefined && !this.#blocked && next.dueMs <= nowMs + EARLY_MS) {
      this.#head++;
      if (next.chunk === null) this.#sink.end();
      else {
        this.#waitingBytes -= next.chunk.length;
        this.#blocked = !this.#sink.write(next.chunk);
      }
      next = this.#queue[this.#head];
    }
    // What has gone is kept no longer, without moving the rest each time.
    if (next === undefined || this.#head > 1_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (this.#source.isPaused() && this.#waitingBytes < this.#limitBytes / 2) this.#source.resume();
    if (next !== undefined && !this.#blocked)
      this.#timer = setTimeout(() => this.#release(), Math.max(1, next.dueMs - nowMs));
  }
}

const PINGS = 9;

/** The median round trip, in milliseconds, of one byte through a proxy that adds `roundTripMs`, to this very process. */
export async function measureRoundTrip(roundTripMs: number): Promise<number> {
  const echo = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  const proxies = new ProxySet();
  proxies.roundTripMs = roundTripMs;
  try {
    echo.listen(0, "127.0.0.1");
    await once(echo, "listening");
    const port = await proxies.open({ address: "127.0.0.1", port: (echo.address() as AddressInfo).port });
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    const times: number[] = [];
    // The first has to wait for the handshake.
    for (let ping = 0; ping <= PINGS; ping++) {
      const startedMs = performance.now();
      socket.write(".");
      await once(socket, "data");
      if (ping > 0) times.push(performance.now() - startedMs);
    }
    socket.destroy();
    return median(times)!;
  } finally {
    proxies.close();
    echo.close();
  }
}
