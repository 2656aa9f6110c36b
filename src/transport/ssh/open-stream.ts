import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect as connectSocket, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { connectCancelled, orAborted, retryable, timedOut, whereOf } from "../connect-errors.ts";
import type { Endpoint } from "../transport.ts";
import { gatherWrites } from "./gather.ts";

/** Connections to jump hosts: one login for all the hosts behind each. */
export interface JumpPool {
  /** Open a stream to a host, through its jump hosts or directly. Fails as `Transport.connect` does. */
  open(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Duplex>;
  close(): void;
}

/** Logs in to a jump host, with retries. */
type LoginToJump = (hop: Endpoint, signal: AbortSignal) => Promise<Client>;

/** RFC 4254, section 5.1. */
const PROHIBITED = 1;
const CONNECT_FAILED = 2;
const RESOURCE_SHORTAGE = 4;

/** Pause before the next try of an unreachable jump host, which many hosts may share. */
const REMEMBER_FAILURE_MS = 10_000;

const WAY = "on the way there, ";

/** Make a {@link JumpPool}. */
export function createJumpPool(loginTo: LoginToJump): JumpPool {
  const clients = new Map<string, Promise<Client>>();
  const closing = new AbortController();
  const forget = (key: string, client: Promise<Client>): void => {
    if (clients.get(key) === client) clients.delete(key);
  };
  const clientOf = (hop: Endpoint): Promise<Client> => {
    // The settings may hold a password, which need not stay.
    const key = createHash("sha256").update(JSON.stringify(hop)).digest("hex");
    const before = clients.get(key);
    if (before !== undefined) return before;
    // The pool's own signal: several hosts wait for the same login.
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
        client = await orAborted(clientOf(hop), signal, () => connectCancelled(endpoint));
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

/** Name the host behind the failed jump. The error is not retryable: the login to the jump host was retried. */
function onTheWay({ host }: Endpoint, hop: Endpoint, thrown: unknown): unknown {
  if (!isVolleyError(thrown) || thrown.code === "CANCELLED") return thrown;
  // An error of a farther jump host names the way already.
  const said = thrown.message.replace(`${hop.host}: ${WAY}`, "");
  return new VolleyError(thrown.code, `${host}: ${WAY}${said}`, {
    cause: thrown,
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
  });
}

function openChannel(
  client: Client,
  hop: Endpoint,
  endpoint: Endpoint,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const settle = (how: () => void): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      client.removeListener("close", onLost);
      how();
    };
    const onAbort = (): void => settle(() => reject(connectCancelled(endpoint)));
    const onLost = (): void => settle(() => reject(lost(endpoint, hop)));
    const timer = setTimeout(() => settle(() => reject(timedOut(endpoint, timeoutMs))), timeoutMs);
    signal.addEventListener("abort", onAbort, { once: true });
    client.once("close", onLost);
    try {
      client.forwardOut("127.0.0.1", 0, endpoint.address, endpoint.port, (error, channel) => {
        if (isSettled) channel?.destroy();
        else if (error) settle(() => reject(explainRefusal(error, hop, endpoint)));
        else settle(() => resolve(tolerant(channel)));
      });
    } catch {
      onLost();
    }
  });
}

/** Ignore errors of a channel: the connection over it reports them. */
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

/** Open a TCP connection to a host. Fails with `CONNECT_FAILED` or `CANCELLED`. */
function openSocket(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  const { address, ssh } = endpoint;
  return new Promise((resolve, reject) => {
    const [family, wanted] = [isIP(address), ssh?.addressFamily];
    if (family !== 0 && wanted !== undefined && family !== wanted) {
      const what = `${whereOf(endpoint)} is no IPv${wanted} address, which AddressFamily asks for`;
      return reject(new VolleyError("CONNECT_FAILED", what));
    }
    // ssh2 leaves Nagle's algorithm on, which delays small packets until the peer acknowledges earlier ones.
    const socket = connectSocket({
      ...routeOf(endpoint),
      ...bindingOf(endpoint),
      noDelay: true,
      keepAlive: true,
    });
    const fail = (error: VolleyError): void => {
      socket.destroy();
      done();
      reject(error);
    };
    const timer = setTimeout(() => fail(timedOut(endpoint, timeoutMs)), timeoutMs);
    const onAbort = (): void => fail(connectCancelled(endpoint));
    const onError = (error: NodeJS.ErrnoException): void => fail(explainSocket(error, endpoint));
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      done();
      resolve(gatherWrites(socket));
    });
  });
}

/** Return the socket options of BindAddress and AddressFamily. */
function bindingOf({ ssh }: Endpoint): { readonly localAddress?: string; readonly family?: number } {
  return {
    ...(ssh?.bindAddress === undefined ? {} : { localAddress: ssh.bindAddress }),
    ...(ssh?.addressFamily === undefined ? {} : { family: ssh.addressFamily }),
  };
}

function explainSocket(error: NodeJS.ErrnoException, endpoint: Endpoint): VolleyError {
  const where = whereOf(endpoint);
  const failed = (message: string): VolleyError =>
    new VolleyError("CONNECT_FAILED", message, { cause: error });
  switch (error.code) {
    case "ECONNREFUSED":
      return retryable(failed(`${where} refused the connection: no SSH server listens there`), "quick");
    case "ENOTFOUND":
      return failed(`${endpoint.host}: the name ${endpoint.address} cannot be resolved`);
    case "EAI_AGAIN":
      return retryable(failed(`${endpoint.host}: the name ${endpoint.address} cannot be resolved`), "quick");
    case "EADDRNOTAVAIL":
    case "EINVAL":
      if (endpoint.ssh?.bindAddress === undefined) return failed(`${where}: ${error.message}`);
      return failed(
        `${where}: this machine has no address ${endpoint.ssh.bindAddress} (BindAddress) to connect from`,
      );
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return retryable(failed(`${where} cannot be reached: no route to it`), "quick");
    case "ECONNRESET":
      return retryable(failed(`${where} closed the connection before login was complete`), "patient");
    case "ETIMEDOUT":
      // The kernel has already tried several times.
      return failed(`${where} did not answer`);
    default:
      return failed(`${where}: ${error.message}`);
  }
}

/** The variable with the path of a JSON file that maps `address port` to a local port: `volley compare` measures there. */
export const ROUTES_VARIABLE = "VOLLEY_ROUTES";

let routes: Readonly<Record<string, number>> | undefined;

/**
 * Return the destination of an endpoint's socket: the endpoint itself, unless {@link ROUTES_VARIABLE} routes it elsewhere.
 * Host keys are looked up under the endpoint's own name in either case.
 */
function routeOf({ address, port }: Pick<Endpoint, "address" | "port">): {
  readonly host: string;
  readonly port: number;
} {
  const file = process.env[ROUTES_VARIABLE];
  if (file === undefined || file === "") return { host: address, port };
  routes ??= JSON.parse(readFileSync(file, "utf8")) as Readonly<Record<string, number>>;
  const routed = routes[`${address} ${port}`];
  return routed === undefined ? { host: address, port } : { host: "127.0.0.1", port: routed };
}
