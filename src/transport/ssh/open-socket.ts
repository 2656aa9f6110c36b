import { readFileSync } from "node:fs";
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { VolleyError } from "../../core/errors.ts";
import { connectCancelled, retryable, timedOut, whereOf } from "../connect-errors.ts";
import type { Endpoint } from "../transport.ts";

/** Open a TCP connection to a host. Fails with `CONNECT_FAILED` or `CANCELLED`. */
export function openSocket(endpoint: Endpoint, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
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
      resolve(socket);
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
