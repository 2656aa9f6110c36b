import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { median } from "./statistics.ts";

/** Traffic through the proxies since the last reset. */
export interface Traffic {
  /** Bytes from the controller to the hosts. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly connections: number;
  /** Number of endpoints that were connected to. */
  readonly endpoints: number;
  /**
   * Number of times, over all connections, that the controller sent data after the host had. An upper bound of the
   * consecutive round trips.
   */
  readonly flights: number;
}

/** An address of a host. */
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
 * TCP proxies on this machine, one for each endpoint. They count, and add the time of a round trip; they do not imitate
 * a distance's loss, slow start of TCP or lower bandwidth.
 */
export class ProxySet {
  readonly #servers = new Map<string, Server>();
  readonly #counts = new Map<string, Counts>();
  readonly #connections = new Set<() => void>();
  /** Round trip time to add between here and every host, in milliseconds. */
  roundTripMs = 0;

  /** Start a proxy for an endpoint; returns its port on 127.0.0.1. */
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

  /** Reset the counters. */
  reset(): void {
    this.#counts.clear();
  }

  /** Return the traffic since the last reset. */
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

  /** Close all connections, so that a program that keeps one for its next start must connect again. */
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
        // The kernel accepts at once; a distant host would accept a round trip later.
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
    // The end of TCP's handshake reaches the host one and a half round trips after its beginning.
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
    // A clean end of one side reaches the other side through its line.
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

/** Name an endpoint in the file of proxies. */
export function endpointKey({ address, port }: ProxiedEndpoint): string {
  return `${address} ${port}`;
}

/** Bytes that may wait on a line for their time, or for a receiver that does not read. */
const MAX_DELAYED_BYTES = 64 << 20;
const MAX_UNREAD_BYTES = 256 << 10;

/** Timers fire up to a millisecond late. Bytes due sooner than this are sent at once, so that errors cancel out. */
const EARLY_MS = 0.5;

/** Options of a {@link DelayLine}. */
export interface DelayLineOptions {
  /** Milliseconds from arrival to passing on. */
  readonly delayMs: number;
  /** Bytes count as arriving no earlier than this, by `performance.now()`. */
  readonly notBeforeMs?: number;
  /** Called for bytes that arrive. */
  readonly onBytes?: (count: number) => void;
}

/**
 * A direction of a connection, delayed by a fixed time. Each chunk waits on its own, so that throughput is limited
 * only by the receiver.
 */
export class DelayLine {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #options: DelayLineOptions;
  #queue: { readonly dueMs: number; readonly chunk: Buffer | null }[] = [];
  /** Index of the first chunk still waiting. */
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

  /** Bytes that have arrived and are not passed on. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Drop the waiting bytes. */
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
    // Free the sent chunks, now and then: moving the rest each time would cost too much.
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

/**
 * Measure the median round trip, in milliseconds, of one byte through a proxy that adds `roundTripMs`, to this process.
 */
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
    // The first ping also waits for the handshake.
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
