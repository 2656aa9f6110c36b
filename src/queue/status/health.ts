import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP, isIPv6 } from "node:net";
import { messageOf, printable, VolleyError } from "../../core/errors.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { WorkerStatus } from "./worker-status.ts";

/** The options of {@link openHealth}. */
export interface HealthOptions {
  /**
   * The address: `127.0.0.1:9464`, `[::1]:9464`, `NAME:9464`, a port alone for this machine's 127.0.0.1, or `:9464` for
   * all addresses of the machine. Port 0: any free one.
   */
  readonly listen: string | number;
  readonly status: () => WorkerStatus;
  readonly metrics: Pick<WorkerMetrics, "contentType" | "text">;
}

/** A server that tells of the worker. */
export interface HealthServer {
  /** `http://127.0.0.1:9464` */
  readonly url: string;
  /** Close the port and all connections. */
  close(): Promise<void>;
}

interface ListenAddress {
  /** Undefined for all addresses. */
  readonly host: string | undefined;
  readonly port: number;
}

const PATHS: ReadonlySet<string> = new Set(["/healthz", "/status", "/metrics"]);
const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";
const LOOPBACK = "127.0.0.1";
/** A port behind a name, an IPv4 address, an IPv6 address in brackets, or nothing. */
const ADDRESS = /^(?:(?:\[([^\]]+)\]|([\w.-]*)):)?(\d{1,5})$/;
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program uses it",
  EADDRNOTAVAIL: "this machine does not have that address",
  EACCES: "this user may not use it",
  ENOTFOUND: "no address has that name",
};
const MAX_PORT = 65_535;
const MAX_CONNECTIONS = 64;
const FORMS = "write a port, 127.0.0.1:9464, [::1]:9464, or :9464 for all addresses";

/**
 * Answer `GET /healthz`, `GET /status` (JSON) and `GET /metrics` (Prometheus). Fails with `USAGE` for an address that is
 * none, or that cannot be had. The server keeps no process alive.
 */
export async function openHealth({ listen, status, metrics }: HealthOptions): Promise<HealthServer> {
  const address = readListen(listen);
  const server = createServer((request, response) => {
    const isLocal = isLoopback(request.socket.localAddress ?? "");
    void answer(request, { isLocal, status, metrics })
      .catch((thrown: unknown): Answer => [500, TEXT, `${messageOf(thrown)}\n`])
      .then((given) => send(response, given));
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.unref();
  server.on("connection", (socket) => socket.unref());
  await bind(server, address);
  // A connection that cannot be accepted is no fault of the worker.
  server.on("error", () => {});
  return {
    url: urlOf(server.address() as AddressInfo),
    async close() {
      const closed = new Promise<unknown>((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function readListen(listen: string | number): ListenAddress {
  const text = String(listen).trim();
  const [, ipv6, name, digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > MAX_PORT || (ipv6 !== undefined && !isIPv6(ipv6)))
    throw new VolleyError("USAGE", `cannot listen on "${printable(text, 200)}"`, { hint: FORMS });
  const host = ipv6 ?? name ?? LOOPBACK;
  return { host: host === "" ? undefined : host, port };
}

async function bind(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  }).catch((cause: NodeJS.ErrnoException) => {
    const why = REASONS[cause.code ?? ""] ?? messageOf(cause);
    throw new VolleyError("USAGE", `cannot listen on port ${port} of ${host ?? "this machine"}: ${why}`, {
      cause,
      hint: "name another port or address",
    });
  });
}

type Answer = readonly [status: number, type: string, text: string];

interface Asked extends Pick<HealthOptions, "status" | "metrics"> {
  /** True for a connection to a loopback address. */
  readonly isLocal: boolean;
}

async function answer(
  { method, url = "", headers }: IncomingMessage,
  { isLocal, status, metrics }: Asked,
): Promise<Answer> {
  if (isLocal && !isOwnName(headers.host)) return [403, TEXT, "This name is not this machine's loopback.\n"];
  const path = url.split("?", 1)[0]!;
  if (!PATHS.has(path)) return [404, TEXT, `There are: ${[...PATHS].join(", ")}\n`];
  if (method !== "GET") return [405, TEXT, "Only GET is answered here.\n"];
  if (path === "/status") return [200, JSON_TYPE, `${JSON.stringify(status(), undefined, 2)}\n`];
  if (path === "/metrics") return [200, metrics.contentType, await metrics.text()];
  const { isStopping, isQueueAway } = status();
  if (isStopping) return [503, TEXT, "the worker stops\n"];
  if (isQueueAway) return [503, TEXT, "the queue's server does not answer\n"];
  return [200, TEXT, "ok\n"];
}

/** True for an IP address and for names of loopback: any other name was made to point here, by a page in a browser. */
function isOwnName(host = ""): boolean {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isIP(name) !== 0 || /^(?:.+\.)?localhost(?:\.localdomain)?$/i.test(name);
}

function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\./.test(address) || address === "::1";
}

function send(response: ServerResponse, [status, type, text]: Answer): void {
  response.writeHead(status, {
    "cache-control": "no-store",
    "content-length": Buffer.byteLength(text),
    "content-type": type,
    "x-content-type-options": "nosniff",
    ...(status === 405 ? { allow: "GET" } : {}),
  });
  response.end(text);
}

function urlOf({ address, port }: AddressInfo): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
}
