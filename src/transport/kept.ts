import { once, setMaxListeners } from "node:events";
import type { Duplex } from "node:stream";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import { connectCancelled } from "./connect-errors.ts";
import type {
  Connection,
  Endpoint,
  FileSession,
  Forwarded,
  RemoteExit,
  RemoteProcess,
  Transport,
} from "./transport.ts";

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
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);
  const open = (endpoint: Endpoint, transport: Transport): Kept => {
    const connecting = new AbortController();
    const opening = transport.connect(endpoint, AbortSignal.any([closing.signal, connecting.signal]));
    const entry: Kept = { opening, connecting, waiting: 0, sessions: createSessions() };
    const forget = (): void => {
      if (kept.get(endpoint) === entry) kept.delete(endpoint);
    };
    opening.then((connection) => connection.closed.then(forget), forget);
    kept.set(endpoint, entry);
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
        return createLease(connection, entry.sessions, isNew ? connection.timings : NO_TIME);
      },
      close: () => {},
    }),
    close: async () => {
      const entries = [...kept.values()];
      kept.clear();
      closing.abort();
      await Promise.all(
        entries.map(async ({ opening }) => {
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
  readonly connecting: AbortController;
  waiting: number;
  readonly sessions: Sessions;
}

/** Wait for a connection that others may wait for, too. */
async function untilAborted(entry: Kept, endpoint: Endpoint, signal: AbortSignal): Promise<Connection> {
  const gaveUp = (): void => {
    if (--entry.waiting === 0) entry.connecting.abort();
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

/** The sessions that are open over one connection: where the server grants no more, the next waits for an end. */
interface Sessions {
  open<T>(start: () => Promise<T>, ended: (opened: T) => Promise<unknown>): Promise<T>;
}

function createSessions(): Sessions {
  let opening = 0;
  let openNow = 0;
  let ends = 0;
  let waiting: (() => void)[] = [];
  const wake = (): void => {
    const all = waiting;
    waiting = [];
    for (const go of all) go();
  };
  return {
    open: async (start, ended) => {
      for (;;) {
        opening++;
        const before = ends;
        try {
          const opened = await start();
          openNow++;
          void ended(opened).then(() => {
            openNow--;
            ends++;
            wake();
          });
          return opened;
        } catch (thrown) {
          const isRefused = isVolleyError(thrown) && thrown.code === "SESSION_REFUSED";
          if (isRefused && ends !== before) continue;
          // Where no session will end, there is nothing to wait for.
          if (!isRefused || openNow + opening === 1) {
            wake();
            throw thrown;
          }
        } finally {
          opening--;
        }
        await new Promise<void>((go) => waiting.push(go));
      }
    },
  };
}

/** Share a connection: what is started by the lease ends with it. */
function createLease(connection: Connection, sessions: Sessions, timings: Connection["timings"]): Connection {
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
  const { forward, listen, expectUpload } = connection;
  return {
    timings,
    closed,
    exec: async (command, signal, options = {}) => {
      const start = (): Promise<RemoteProcess> => connection.exec(command, signal, options);
      const process =
        options.onlySpare === true ? await start() : await sessions.open(start, ({ exit }) => exit);
      const exit = Promise.race([process.exit, ended.then((): RemoteExit => LEASE_ENDED)]);
      return keep({ ...process, exit }, process.exit, () => stopProcess(process));
    },
    upload: (bytes, path, options) => connection.upload(bytes, path, options),
    ...(expectUpload === undefined ? {} : { expectUpload: () => expectUpload() }),
    files: async (signal) => {
      const start = (): Promise<FileSession> => connection.files(signal);
      const session = await sessions.open(start, (opened) => opened.closed);
      return keep(session, session.closed, () => session.close());
    },
    ...(forward === undefined
      ? {}
      : {
          forward: async (address, port) => {
            const stream = await forward(address, port);
            return keep(stream, closeOf(stream), () => stream.destroy());
          },
        }),
    ...(listen === undefined
      ? {}
      : {
          listen: async (address, port, onConnection): Promise<Forwarded> => {
            const listening = await listen(address, port, onConnection);
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

const LEASE_ENDED: RemoteExit = { kind: "lost", reason: "the connection was closed" };

function closeOf(stream: Duplex): Promise<unknown> {
  return new Promise((resolve) => stream.once("close", resolve));
}

/** Close a process's streams: sshd then closes them on the host, where a lifeline, or the next write, notices. */
function stopProcess({ stdin, stdout, stderr }: RemoteProcess): void {
  for (const stream of new Set([stdin, stdout, stderr])) stream.destroy();
}
