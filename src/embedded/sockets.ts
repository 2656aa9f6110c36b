import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";

/** Impairments of a connection. */
export interface SocketShape {
  /** Delay of every byte, in each direction. */
  readonly delayMs: number;
  /** Bytes in one direction after which the connection is reset. */
  readonly dropAfter?: { readonly bytes: number; readonly direction: "in" | "out" } | undefined;
}

/** A socket on a bad line: with a delay each way, and a reset after so many bytes. */
export class ShapedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #shape: SocketShape;
  readonly #counts = { in: 0, out: 0 };
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(socket: Socket, shape: SocketShape) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#shape = shape;
    socket.on("data", (chunk: Buffer) => {
      const allowed = this.#admit("in", chunk);
      if (allowed.length > 0) this.#later(() => this.push(allowed));
    });
    socket.on("end", () => this.#later(() => this.push(null)));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#later(() => this.destroy()));
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#socket.remoteFamily;
  }

  setNoDelay(on?: boolean): this {
    this.#socket.setNoDelay(on);
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const allowed = this.#admit("out", chunk);
    if (allowed.length > 0) this.#later(() => this.#socket.write(allowed));
    callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#later(() => this.#socket.end());
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.destroy();
    callback(error);
  }

  #later(action: () => void): void {
    if (this.#shape.delayMs <= 0) {
      if (!this.destroyed) action();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.destroyed) action();
    }, this.#shape.delayMs);
    this.#timers.add(timer);
  }

  /** Return the part of the chunk that still gets through; reset the connection when some of it does not. */
  #admit(direction: "in" | "out", chunk: Buffer): Buffer {
    const { dropAfter } = this.#shape;
    if (dropAfter?.direction !== direction) return chunk;
    const room = Math.max(0, dropAfter.bytes - this.#counts[direction]);
    this.#counts[direction] += chunk.length;
    if (chunk.length <= room) return chunk;
    setImmediate(() => this.#socket.resetAndDestroy());
    return chunk.subarray(0, room);
  }
}

/** A loopback port that the kernel gives to no other process. */
export interface HeldPort {
  readonly port: number;
  release(): void;
}

/**
 * Hold a free port of 127.0.0.1 without listening on it, so that connections to it are refused. The kernel would give a
 * port that was only closed to the next process that asks for a free one. A process may still listen on this port by its
 * number.
 */
export async function holdPort(): Promise<HeldPort> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const client = connect(port, "127.0.0.1");
  const [held] = (await once(listener, "connection")) as [Socket];
  // The kernel hands out no port that a connection is bound to, even one without its listener.
  const both = [client, held];
  for (const socket of both) {
    socket.on("error", () => {});
    socket.unref();
  }
  listener.close();
  return {
    port,
    release: () => {
      for (const socket of both) socket.destroy();
    },
  };
}
