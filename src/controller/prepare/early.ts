import type { Connection, Endpoint, Transport } from "../../transport/transport.ts";
import type { Reached } from "./reach.ts";

/** A connection that was begun before its session asks for it. */
interface Begun {
  readonly connection: Promise<Connection>;
  readonly controller: AbortController;
}

/** Connections that are begun before the sessions are. */
export interface EarlyConnections {
  /** Begin to connect, and return the way to the host by which the first to connect gets this connection. */
  begin(reached: Reached): Reached;
  /** End those that nobody has taken. */
  close(): void;
}

/**
 * Let TCP and SSH shake hands, and the login pass, while the bundle is looked at. Nothing is started on a host. A
 * failure is told by the session that takes the connection.
 */
export function openEarlyConnections(): EarlyConnections {
  const waiting = new Map<Endpoint, Begun>();
  return {
    begin: ({ endpoint, transport }) => {
      const controller = new AbortController();
      const connection = transport.connect(endpoint, controller.signal);
      connection.catch(() => {});
      waiting.set(endpoint, { connection, controller });
      return { endpoint, transport: takingFirst(transport, waiting) };
    },
    close: () => {
      for (const { connection, controller } of waiting.values()) {
        controller.abort();
        connection.then(
          (open) => open.close(),
          () => {},
        );
      }
      waiting.clear();
    },
  };
}

/** Return a transport that gives away the connections that wait before it makes others. */
function takingFirst(transport: Transport, waiting: Map<Endpoint, Begun>): Transport {
  return {
    connect: (endpoint, signal) => {
      const begun = waiting.get(endpoint);
      if (begun === undefined) return transport.connect(endpoint, signal);
      waiting.delete(endpoint);
      const { connection, controller } = begun;
      const abort = (): void => controller.abort(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
      return connection;
    },
    close: () => transport.close(),
  };
}
