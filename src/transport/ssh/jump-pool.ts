import type { Duplex } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { retryable } from "../connect-errors.ts";
import type { Endpoint } from "../transport.ts";
import { openSocket, timedOut, whereOf } from "./open-socket.ts";

/** Connections to the hosts that others are reached through: one login each, however many are behind it. */
export interface JumpPool {
  /** Opens a stream to a host, through its jumps or directly. Fails as `Transport.connect` does. */
  open(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Duplex>;
  close(): void;
}

/** Logs in to a host on the way, trying as often as is worth it. */
export type LoginToJump = (hop: Endpoint, signal: AbortSignal) => Promise<Client>;

/** RFC 4254, section 5.1. */
const PROHIBITED = 1;
const CONNECT_FAILED = 2;
const RESOURCE_SHORTAGE = 4;

/** How long a jump that could not be reached is not tried again: many hosts may be behind it. */
const REMEMBER_FAILURE_MS = 10_000;

const WAY = "on the way there, ";

/** Makes a {@link JumpPool}. */
export function createJumpPool(loginTo: LoginToJump): JumpPool {
  const clients = new Map<string, Promise<Client>>();
  const closing = new AbortController();
  const forget = (key: string, client: Promise<Client>): void => {
    if (clients.get(key) === client) clients.delete(key);
  };
  const clientOf = (hop: Endpoint): Promise<Client> => {
    const key = JSON.stringify(hop);
    const before = clients.get(key);
    if (before !== undefined) return before;
    // Not one host's signal: others wait for the same login.
    const client = loginTo(hop, closing.signal);
    clients.set(key, client);
    client.then(
      (ready) => ready.once("close", () => forget(key, client)),
      (thrown: unknown) => {
        if (!isVolleyError(thrown) || thrown.code !== "CONNECT_FAILED") return;
        setTimeout(() => forget(key, client), REMEMBER_FAILURE_MS).unref();
      },
    );
    return client;
  };
  return {
    open: async (endpoint, timeoutMs, signal) => {
      const hop = endpoint.ssh?.jumps.at(-1);
      if (hop === undefined) return await openSocket(endpoint, timeoutMs, signal);
      let client: Client;
      try {
        client = await orCancelled(clientOf(hop), endpoint, signal);
      } catch (thrown) {
        throw onTheWay(endpoint, hop, thrown);
      }
      return await openChannel(client, hop, endpoint, timeoutMs, signal);
    },
    close: () => {
      closing.abort();
      for (const client of clients.values()) {
        client.then(
          (ready) => {
            ready.end();
            // end() waits for the other side, which may not answer.
            setTimeout(() => ready.destroy(), 1_000).unref();
          },
          () => {},
        );
      }
      clients.clear();
    },
  };
}

/** Says which host it is for; it is not tried again: the login to the jump was. */
function onTheWay({ host }: Endpoint, hop: Endpoint, thrown: unknown): unknown {
  if (!isVolleyError(thrown) || thrown.code === "CANCELLED") return thrown;
  // What went wrong farther up the way has been said so already.
  const said = thrown.message.replace(`${hop.host}: ${WAY}`, "");
  return new VolleyError(thrown.code, `${host}: ${WAY}${said}`, {
    cause: thrown,
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
  });
}

async function orCancelled<T>(wanted: Promise<T>, { host }: Endpoint, signal: AbortSignal): Promise<T> {
  let onAbort = (): void => {};
  const cancelled = new Promise<never>((_, reject) => {
    onAbort = () => reject(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
  });
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([wanted, cancelled]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function openChannel(
  client: Client,
  hop: Endpoint,
  endpoint: Endpoint,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    let over = false;
    const end = (settle: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      client.removeListener("close", onLost);
      settle();
    };
    const onAbort = (): void =>
      end(() => reject(new VolleyError("CANCELLED", `connecting to ${endpoint.host} was cancelled`)));
    const onLost = (): void => end(() => reject(lost(endpoint, hop)));
    const timer = setTimeout(() => end(() => reject(timedOut(endpoint, timeoutMs))), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    client.once("close", onLost);
    try {
      client.forwardOut("127.0.0.1", 0, endpoint.address, endpoint.port, (error, channel) => {
        if (over) channel?.destroy();
        else if (error) end(() => reject(explainRefusal(error, hop, endpoint)));
        else end(() => resolve(tolerant(channel)));
      });
    } catch {
      onLost();
    }
  });
}

/** What goes wrong with a channel is told by the connection that runs over it. */
function tolerant(channel: ClientChannel): Duplex {
  channel.on("error", () => {});
  channel.stderr.resume();
  return channel;
}

function lost(endpoint: Endpoint, hop: Endpoint): VolleyError {
  return retryable(
    new VolleyError(
      "CONNECT_FAILED",
      `${endpoint.host}: the connection to ${hop.host}, on the way there, was lost`,
    ),
    "quick",
  );
}

function explainRefusal(
  error: Error & { readonly reason?: unknown },
  hop: Endpoint,
  endpoint: Endpoint,
): VolleyError {
  const said = error.message.replace(/^\(SSH\) Channel open failure: /, "");
  const failed = (what: string, hint?: string): VolleyError =>
    new VolleyError("CONNECT_FAILED", what, { cause: error, ...(hint === undefined ? {} : { hint }) });
  switch (error.reason) {
    case PROHIBITED:
      return failed(
        `${whereOf(endpoint)}: ${hop.host}, on the way there, lets no connection through: ${said}`,
        "its sshd_config needs AllowTcpForwarding yes, and no PermitOpen that forbids it",
      );
    case CONNECT_FAILED:
      return retryable(failed(`${whereOf(endpoint)} cannot be reached from ${hop.host}: ${said}`), "quick");
    case RESOURCE_SHORTAGE:
      return retryable(
        failed(`${whereOf(endpoint)}: ${hop.host}, on the way there, is short of resources: ${said}`),
        "patient",
      );
    default:
      return failed(`${whereOf(endpoint)}: ${hop.host}, on the way there: ${said}`);
  }
}
