import { once } from "node:events";
import { connect as connectSocket, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import type { Connection } from "../transport/transport.ts";
import type { Core, Member } from "./members.ts";
import { anyOf } from "./signals.ts";
import { acceptSocks } from "./socks.ts";

/** A place to listen on: a port, or `address:port`. The address is 127.0.0.1 by default; port 0: a free one. */
export type ListenOn = number | `${string}:${number}`;

/** The ports to connect, in one of the three ways of ssh(1). */
export type ForwardOptions = (
  | {
      /** Listen here, and connect from the host to `to` (`ssh -L`). */
      readonly local: ListenOn;
      /** `address:port`, as the host can reach it. */
      readonly to: string;
    }
  | {
      /** Have the host listen, and connect from here to `to` (`ssh -R`). */
      readonly remote: ListenOn;
      /** `address:port`, as this machine can reach it. */
      readonly to: string;
    }
  | {
      /** Listen here as a SOCKS 5 server, and connect from the host to where each client wants to (`ssh -D`). */
      readonly dynamic: ListenOn;
    }
) & {
  /** Its abort closes the forwarding. */
  readonly signal?: AbortSignal;
};

/** Forwarded ports, until they are closed or the fleet is. */
export interface Forwarding extends AsyncDisposable {
  readonly address: string;
  /** The port that is listened on. */
  readonly port: number;
  /** Listen no longer, and close the connections. */
  close(): Promise<void>;
}

/**
 * Forward ports. A connection that went is made anew for the next client; where the host listens, the forwarding ends with
 * its connection. Fails with `USAGE`, `CONNECT_FAILED`, or as connecting does.
 */
export async function forward(member: Member, core: Core, options: ForwardOptions): Promise<Forwarding> {
  const signal = anyOf(options.signal, core.closing);
  if ("remote" in options)
    return await listenThere(member, placeOf(options.remote), targetOf(options.to), signal);
  // The host is reached now: a caller learns at once when it is not.
  const first = await member.transport.connect(member.endpoint, signal);
  if (first.forward === undefined) {
    first.close();
    throw cannotForward(member);
  }
  if ("dynamic" in options)
    return await listenHere(placeOf(options.dynamic), signal, first, async (socket) => {
      const wanted = await acceptSocks(socket);
      if (wanted === undefined) return;
      try {
        const stream = await openThere(member, wanted, signal);
        wanted.granted();
        join(socket, stream);
      } catch {
        wanted.refused();
      }
    });
  const target = targetOf(options.to);
  return await listenHere(placeOf(options.local), signal, first, async (socket) => {
    join(socket, await openThere(member, target, signal));
  });
}

interface Place {
  readonly address: string;
  readonly port: number;
}

function placeOf(place: ListenOn): Place {
  return typeof place === "number" ? checked({ address: "127.0.0.1", port: place }, place) : parse(place);
}

function targetOf(text: string): Place {
  const target = parse(text);
  if (target.port === 0) throw new VolleyError("USAGE", `${text} has no port to connect to`);
  return target;
}

function parse(text: string): Place {
  const [, six, four, port] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d+)$/.exec(text) ?? [];
  const address = six ?? four;
  if (address === undefined || address === "")
    throw new VolleyError("USAGE", `write address:port, or [address]:port, not "${text}"`);
  return checked({ address, port: Number(port) }, text);
}

function checked(place: Place, shown: unknown): Place {
  const { port } = place;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new VolleyError("USAGE", `${String(shown)} has no port from 0 to 65535`);
  return place;
}

function cannotForward({ name }: Member): VolleyError {
  return new VolleyError("CONNECT_FAILED", `${name}: ports cannot be forwarded over this connection`, {
    hint: "ssh2 can: hosts that OpenSSH's ssh, a container program or this machine itself stands for cannot",
  });
}

/** Open a connection from the host. The stream's end gives the lease back. */
async function openThere(member: Member, { address, port }: Place, signal: AbortSignal): Promise<Duplex> {
  const connection = await member.transport.connect(member.endpoint, signal);
  try {
    if (connection.forward === undefined) throw cannotForward(member);
    const stream = await connection.forward(address, port);
    stream.once("close", () => connection.close());
    return stream;
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

/** Connect two streams until both have ended. */
function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on("error", () => to.destroy());
    from.once("close", () => to.destroy());
    from.pipe(to);
    // A client may have gone while its connection was opened on the other side.
    if (from.destroyed) to.destroy();
  }
}

async function listenHere(
  { address, port }: Place,
  signal: AbortSignal,
  keeps: Connection,
  serve: (socket: Socket) => Promise<void>,
): Promise<Forwarding> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
    serve(socket).catch(() => socket.destroy());
  });
  try {
    server.listen(port, address);
    await once(server, "listening");
  } catch (thrown) {
    keeps.close();
    const { code, message } = thrown as NodeJS.ErrnoException;
    const why =
      code === "EADDRINUSE" ? "the port is in use" : code === "EACCES" ? "permission denied" : message;
    throw new VolleyError("USAGE", `cannot listen on ${address}:${port}: ${why}`, { cause: thrown });
  }
  return closable({ address, port: portOf(server) }, signal, async () => {
    keeps.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function listenThere(
  member: Member,
  { address, port }: Place,
  target: Place,
  signal: AbortSignal,
): Promise<Forwarding> {
  const connection = await member.transport.connect(member.endpoint, signal);
  const sockets = new Set<Socket>();
  try {
    if (connection.listen === undefined) throw cannotForward(member);
    const listening = await connection.listen(address, port, (stream) => {
      const socket = connectSocket({ host: target.address, port: target.port, allowHalfOpen: true });
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      join(socket, stream);
    });
    return closable({ address, port: listening.port }, signal, async () => {
      await listening.close();
      for (const socket of sockets) socket.destroy();
      connection.close();
    });
  } catch (thrown) {
    connection.close();
    throw isVolleyError(thrown) ? thrown : cannotForward(member);
  }
}

function closable(place: Place, signal: AbortSignal, end: () => Promise<void>): Forwarding {
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    signal.removeEventListener("abort", onAbort);
    closing ??= end();
    return closing;
  };
  const onAbort = (): void => void close();
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  return { ...place, close, [Symbol.asyncDispose]: close };
}
