import { once, setMaxListeners } from "node:events";
import type { Duplex } from "node:stream";
import { VolleyError } from "../core/errors.ts";
import { connectCancelled } from "./connect-errors.ts";
import type { Connection, Endpoint, Forwarded, RemoteExit, RemoteProcess, Transport } from "./transport.ts";

/** Connections that outlive their users: each host has one, which is opened when it is first needed, and again once it went. */
export interface KeptConnections {
  /** Return a transport whose connections are leases: closing one ends what was started by it, and nothing else. */
  over(transport: Transport): Transport;
  /** Close all connections, and resolve when they are closed. A host that does not answer is waited for 2 s. */
  close(): Promise<void>;
}

/** Time for the other side to answer when a connection is closed. */
const CLOSING_MS = 2_000;

/** Keep connections for as long as the process, or until `close`. */
export function keepConnections(): KeptConnections {
  const kept = new Map<Endpoint, Kept>();
  const all = new Set<Kept>();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const open = (endpoint: Endpoint, transport: Transport): Kept => {
    const connecting = new AbortController();
    const opening = transport.connect(endpoint, AbortSignal.any([closing.signal, connecting.signal]));
    const forget = (): void => {
      if (kept.get(endpoint) === entry) kept.delete(endpoint);
    };
    let isOpen = false;
    const giveUp = (): void => {
      if (isOpen) return;
      // Later callers must not get the connection that is being given up.
      forget();
      connecting.abort();
    };
    const entry: Kept = { opening, giveUp, waiting: 0 };
    const gone = (): void => {
      forget();
      all.delete(entry);
    };
    opening.then((connection) => {
      isOpen = true;
      void connection.closed.then(gone);
      if (connecting.signal.aborted) connection.close();
    }, gone);
    kept.set(endpoint, entry);
    all.add(entry);
    return entry;
  };
  return {
    over: (transport) => ({
      connect: async (endpoint, signal) => {
        if (closing.signal.aborted)
          throw new VolleyError("CONNECT_FAILED", `${endpoint.host}: the fleet was closed`);
        const known = kept.get(endpoint);
        const entry = known ?? open(endpoint, transport);
        const connection = await untilAborted(entry, endpoint, signal);
        const isNew = known === undefined;
        return createLease(connection, isNew ? connection.timings : NO_TIME);
      },
      close: () => {},
    }),
    close: async () => {
      closing.abort();
      await Promise.all(
        [...all].map(async ({ opening }) => {
          const connection = await opening.catch(() => undefined);
          if (connection === undefined) return;
          connection.close();
          const late = new AbortController();
          const timer = setTimeout(() => late.abort(), CLOSING_MS);
          await Promise.race([connection.closed, once(late.signal, "abort")]);
          clearTimeout(timer);
        }),
      );
    },
  };
}

const NO_TIME: Connection["timings"] = { connectMs: 0, authenticateMs: 0 };

interface Kept {
  readonly opening: Promise<Connection>;
  /** Ends connecting when nobody waits for the connection any more. */
  giveUp(): void;
  waiting: number;
}

/** Wait for a connection that others may wait for, too. */
async function untilAborted(entry: Kept, endpoint: Endpoint, signal: AbortSignal): Promise<Connection> {
  const gaveUp = (): void => {
    if (--entry.waiting > 0) return;
    entry.giveUp();
  };
  if (signal.aborted) throw connectCancelled(endpoint);
  entry.waiting++;
  let onAbort!: () => void;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      gaveUp();
      reject(connectCancelled(endpoint));
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    const connection = await Promise.race([entry.opening, aborted]);
    entry.waiting--;
    return connection;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Share a connection: what is started by the lease ends with it. */
function createLease(connection: Connection, timings: Connection["timings"]): Connection {
  const endings = new Set<() => void>();
  let end!: () => void;
  const ended = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
  });
  let isEnded = false;
  const closed = Promise.race([connection.closed, ended]);
  const keep = <T>(opened: T, over: Promise<unknown>, stop: () => void): T => {
    if (isEnded) stop();
    endings.add(stop);
    void over.then(() => endings.delete(stop));
    return opened;
  };
  /** Wait for what a host opens, but not for one that does not answer when nobody wants it any more. */
  const answered = async <T>(
    opening: Promise<T>,
    signal: AbortSignal | undefined,
    discard: (late: T) => void,
  ): Promise<T> => {
    let onAbort!: () => void;
    const givenUp = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(new VolleyError("CANCELLED", "cancelled before the host answered"));
      signal?.addEventListener("abort", onAbort, { once: true });
      void ended.then(() => reject(new VolleyError("CONNECTION_LOST", LEASE_ENDED.reason)));
    });
    try {
      return await Promise.race([opening, givenUp]);
    } catch (thrown) {
      opening.then(discard, () => {});
      throw thrown;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  };
  const { forward, listen, expectUpload, sessions } = connection;
  return {
    timings,
    closed,
    ...(sessions === undefined ? {} : { sessions }),
    // Other leases' sessions end sooner or later.
    exec: async (command, signal, options = {}) => {
      const opening = connection.exec(command, signal, { wait: "ended", ...options });
      const process = await answered(opening, signal, stopProcess);
      const exit = Promise.race([process.exit, ended.then((): RemoteExit => LEASE_ENDED)]);
      return keep({ ...process, exit }, process.exit, () => stopProcess(process));
    },
    upload: (bytes, path, options) => connection.upload(bytes, path, options),
    ...(expectUpload === undefined ? {} : { expectUpload: () => expectUpload() }),
    files: async (signal, wait = "ended") => {
      const opening = connection.files(signal, wait);
      const session = await answered(opening, signal, (late) => late.close());
      return keep(session, session.closed, () => session.close());
    },
    ...(forward === undefined
      ? {}
      : {
          forward: async (address, port) => {
            const stream = await answered(forward(address, port), undefined, (late) => late.destroy());
            return keep(stream, closeOf(stream), () => stream.destroy());
          },
        }),
    ...(listen === undefined
      ? {}
      : {
          listen: async (address, port, onConnection): Promise<Forwarded> => {
            const opening = listen(address, port, onConnection);
            const listening = await answered(opening, undefined, (late) => void late.close());
            let stopped!: () => void;
            const over = new Promise<void>((resolve) => {
              stopped = resolve;
            });
            const close = async (): Promise<void> => {
              stopped();
              await listening.close();
            };
            return keep({ port: listening.port, close }, over, () => void close());
          },
        }),
    close: () => {
      if (isEnded) return;
      isEnded = true;
      for (const stop of [...endings]) stop();
      end();
    },
  };
}

const LEASE_ENDED = { kind: "lost", reason: "the connection was closed" } as const satisfies RemoteExit;

function closeOf(stream: Duplex): Promise<unknown> {
  return new Promise((resolve) => stream.once("close", resolve));
}

/** Close a process's streams: sshd then closes them on the host, where a lifeline, or the next write, notices. */
function stopProcess({ stdin, stdout, stderr }: RemoteProcess): void {
  for (const stream of new Set([stdin, stdout, stderr])) stream.destroy();
  // Output that nobody has read would keep a channel of ssh2, and the timer that watches it, from ending.
  stdout.resume();
  stderr.resume();
}
