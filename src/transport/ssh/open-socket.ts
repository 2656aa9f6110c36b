import { readFileSync } from "node:fs";
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { VolleyError } from "../../core/errors.ts";
import { retryable } from "../connect-errors.ts";
import type { Endpoint } from "../transport.ts";

/** Opens a TCP connection to a host. Fails with `CONNECT_FAILED` or `CANCELLED`. */
export function openSocket(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  const { host, address, ssh } = endpoint;
  return new Promise((resolve, reject) => {
    const [family, wanted] = [isIP(address), ssh?.addressFamily];
    if (family !== 0 && wanted !== undefined && family !== wanted) {
      const what = `${whereOf(endpoint)} is no IPv${wanted} address, which AddressFamily asks for`;
      return reject(new VolleyError("CONNECT_FAILED", what));
    }
    // ssh2 leaves Nagle's algorithm on, which holds small packets back for the peer's acknowledgement.
    const socket = connectSocket({
      ...routeOf(endpoint),
      ...fromWhere(endpoint),
      noDelay: true,
      keepAlive: true,
    });
    const fail = (error: VolleyError): void => {
      socket.destroy();
      done();
      reject(error);
    };
    const timer = setTimeout(() => fail(timedOut(endpoint, timeoutMs)), timeoutMs);
    const onAbort = (): void => fail(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
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
      resolve(socket);
    });
  });
}

/** What BindAddress and AddressFamily say. */
function fromWhere({ ssh }: Endpoint): { readonly localAddress?: string; readonly family?: number } {
  return {
    ...(ssh?.bindAddress === undefined ? {} : { localAddress: ssh.bindAddress }),
    ...(ssh?.addressFamily === undefined ? {} : { family: ssh.addressFamily }),
  };
}

/** `host (address:port)`, an IPv6 address in brackets. */
export function whereOf({ host, address, port }: Endpoint): string {
  return `${host} (${address.includes(":") ? `[${address}]` : address}:${port})`;
}

/** The error of a host that took too long. */
export function timedOut(endpoint: Endpoint, timeoutMs: number): VolleyError {
  return new VolleyError(
    "CONNECT_FAILED",
    `${whereOf(endpoint)} did not answer within ${timeoutMs / 1000} s`,
  );
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
      // The kernel has tried several times already.
      return failed(`${where} did not answer`);
    default:
      return failed(`${where}: ${error.message}`);
  }
}

/** Names a file, JSON, that says for `address port` which port of this machine to connect to instead: `volley compare` measures there. */
export const ROUTES_VARIABLE = "VOLLEY_ROUTES";

let routes: Readonly<Record<string, number>> | undefined;

/**
 * Where the socket to an endpoint goes: to itself, unless {@link ROUTES_VARIABLE} says otherwise. Host keys are looked up
 * under the endpoint's own name all the same.
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
