import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { holdPort } from "../../src/embedded/host-server.ts";

/** Which way bytes go: `in` to the host, `out` to the controller. */
export type Direction = "in" | "out";

/** A fault that strikes a connection once so many bytes have gone one way. */
export interface Fault {
  readonly direction: Direction;
  readonly bytes: number;
  readonly what: /** Both ends see the connection reset, or closed. */
    | {
        readonly kind: "reset" | "close" /** The proxy refuses connections for this long afterwards. */;
        readonly refuseMs?: number;
      }
    /** Nothing is passed on any more, either way; for ever where no time is given. */
    | { readonly kind: "stall"; readonly forMs?: number }
    /** One bit arrives flipped. */
    | { readonly kind: "corrupt" };
}

/** A line between the controller and a host that can be disturbed. */
export interface LineProxy {
  readonly port: number;
  /** Bytes of the connection open last. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Connections that were made so far. */
  readonly connections: number;
  /** Faults that have come about. */
  readonly struck: number;
  /** Connections open now. */
  readonly open: number;
  close(): Promise<void>;
}

/** Starts a proxy before a port of this machine; `faultOf` says what is to happen to the connection with an index. */
export async function startProxy(
  target: number,
  faultOf: (connection: number) => Fault | undefined = () => undefined,
): Promise<LineProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let fired = 0;
  let last = { in: 0, out: 0 };
  let closed = false;
  let again: NodeJS.Timeout | undefined;
  const listener = createServer({ noDelay: true, allowHalfOpen: false }, (controller) => {
    const fault = faultOf(connections++);
    const host = connect({ port: target, host: "127.0.0.1", noDelay: true });
    const counts = { in: 0, out: 0 };
    last = counts;
    let pending = fault;
    const both = [controller, host];
    for (const socket of both) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        sockets.delete(socket);
        for (const other of both) other.destroySoon();
      });
    }
    const strike = (): void => {
      if (pending === undefined) return;
      const { what } = pending;
      pending = undefined;
      fired++;
      switch (what.kind) {
        case "reset":
          for (const socket of both) socket.resetAndDestroy();
          if (what.refuseMs !== undefined) refuse(what.refuseMs);
          break;
        case "close":
          for (const socket of both) socket.end();
          if (what.refuseMs !== undefined) refuse(what.refuseMs);
          break;
        case "stall":
          for (const socket of both) socket.pause();
          if (what.forMs !== undefined)
            setTimeout(() => {
              for (const socket of both) socket.resume();
            }, what.forMs).unref();
          break;
        case "corrupt":
          break;
      }
    };
    const carry = (from: Socket, to: Socket, direction: Direction): void => {
      from.on("data", (chunk: Buffer) => {
        const before = counts[direction];
        counts[direction] += chunk.length;
        if (pending?.direction !== direction || counts[direction] < pending.bytes) {
          to.write(chunk);
          return;
        }
        const at = Math.max(0, pending.bytes - before - 1);
        if (pending.what.kind === "corrupt") {
          const changed = Buffer.from(chunk);
          changed[at] = changed[at]! ^ 0x10;
          to.write(changed);
          strike();
          return;
        }
        const rest = chunk.subarray(at);
        if (pending.what.kind === "stall") {
          to.write(chunk.subarray(0, at));
          strike();
          // Bytes that have arrived go on when the connection does.
          from.unshift(rest);
          counts[direction] -= rest.length;
          return;
        }
        to.write(chunk.subarray(0, at), () => undefined);
        setImmediate(strike);
      });
    };
    carry(controller, host, "in");
    carry(host, controller, "out");
    if (pending?.bytes === 0) strike();
  });
  // Held, so that nobody else gets it in the times when nobody listens.
  const { port, release } = await holdPort();
  const listen = async (): Promise<void> => {
    listener.listen(port, "127.0.0.1");
    await once(listener, "listening");
  };
  await listen();
  const refuse = (forMs: number): void => {
    if (closed || !listener.listening) return;
    listener.close();
    again = setTimeout(() => {
      if (!closed) void listen();
    }, forMs);
  };
  return {
    port,
    get bytes() {
      return last;
    },
    get connections() {
      return connections;
    },
    get struck() {
      return fired;
    },
    get open() {
      return sockets.size;
    },
    close: async () => {
      closed = true;
      clearTimeout(again);
      release();
      for (const socket of sockets) socket.destroy();
      if (listener.listening) await new Promise((resolve) => listener.close(resolve));
    },
  };
}
