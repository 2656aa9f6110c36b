import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { VolleyError } from "../../core/errors.ts";

/** A request to a web server. */
export interface DownloadRequest {
  readonly url: string;
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** Limit of silence: while connecting, before the answer, and between two parts of it. */
  readonly timeoutMs: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Send user name and password with the first request. Default: only after a 401. */
  readonly forceBasicAuth?: boolean;
  /** Default true. */
  readonly validateCertificates?: boolean;
  /** The environment that names proxies. Default: no proxy. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly signal?: AbortSignal;
}

/** An answer; its body must be read, or dropped with `close`. */
export interface DownloadResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Readonly<http.IncomingHttpHeaders>;
  /** The URL after redirects. */
  readonly url: URL;
  readonly body: AsyncIterable<Uint8Array>;
  close(): void;
}

const MAX_REDIRECTS = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_TEXT_BYTES = 1 << 20;

/** Request a URL and follow redirects. Any status is an answer; fails with `ACTION_FAILED` or `TIMEOUT` when the server cannot be reached. */
export async function openDownload(request: DownloadRequest): Promise<DownloadResponse> {
  let url = parseUrl(request.url);
  const { origin } = url;
  let authorize = request.forceBasicAuth === true;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    // Credentials belong to the first server, not to the target of a redirect.
    const sameOrigin = url.origin === origin;
    const response = await requestOnce(url, request, authorize && sameOrigin, sameOrigin);
    const { status, headers } = response;
    if (status === 401 && !authorize && sameOrigin && hasCredentials(url, request)) {
      response.close();
      authorize = true;
    } else if (REDIRECTS.includes(status) && headers.location !== undefined) {
      response.close();
      url = parseRedirect(headers.location, url);
    } else return response;
  }
  throw new VolleyError("ACTION_FAILED", `${request.url} redirects more than ${MAX_REDIRECTS} times`);
}

/** Download a text of at most 1 MiB, such as a list of checksums. Fails with `ACTION_FAILED` unless the status is 200. */
export async function downloadText(request: DownloadRequest): Promise<string> {
  const response = await openDownload(request);
  if (response.status !== 200) throw refusal(request.url, response);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > MAX_TEXT_BYTES) throw new VolleyError("ACTION_FAILED", `${request.url} is longer than 1 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Drop an answer whose status is an error, and make the error that reports it. */
export function refusal(url: string, { status, statusText, close }: DownloadResponse): VolleyError {
  close();
  return new VolleyError(
    "ACTION_FAILED",
    `cannot download ${url}: the server answers ${status} ${statusText}`,
  );
}

/** Tell whether a text is an `http:` or `https:` URL. */
export function isWebUrl(text: string): boolean {
  return URL.canParse?.(text) !== false && /^https?:\/\/[^/]/i.test(text);
}

/** Decode percent-encoding; return invalid text unchanged. */
export function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new VolleyError("ACTION_FAILED", `${text} is not a URL`, { cause });
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new VolleyError("ACTION_FAILED", `cannot download ${text}: only http and https are known`);
  return url;
}

function parseRedirect(location: string, from: URL): URL {
  let url: URL;
  try {
    url = new URL(location, from);
  } catch (cause) {
    throw new VolleyError("ACTION_FAILED", `${hide(from)} redirects to ${location}, which is not a URL`, {
      cause,
    });
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new VolleyError(
      "ACTION_FAILED",
      `${hide(from)} redirects to ${hide(url)}: only http and https are known`,
    );
  }
  return url;
}

function hasCredentials(url: URL, { username }: DownloadRequest): boolean {
  return username !== undefined || url.username !== "";
}

function credentials(url: URL, { username, password }: DownloadRequest): string {
  const user = username ?? decodeName(url.username);
  const secret = password ?? decodeName(url.password);
  return `Basic ${Buffer.from(`${user}:${secret}`).toString("base64")}`;
}

async function requestOnce(
  url: URL,
  request: DownloadRequest,
  authorize: boolean,
  sameOrigin: boolean,
): Promise<DownloadResponse> {
  const { timeoutMs, signal, environment = {}, method = "GET" } = request;
  const given = Object.entries(request.headers ?? {}).filter(
    ([name]) => sameOrigin || !/^(authorization|cookie)$/i.test(name),
  );
  const headers: Record<string, string> = {
    "user-agent": "volley",
    accept: "*/*",
    ...Object.fromEntries(given),
    ...(authorize ? { authorization: credentials(url, request) } : {}),
  };
  const proxy = proxyFor(url, environment);
  const options: https.RequestOptions = {
    method,
    headers,
    timeout: timeoutMs,
    agent: false,
    rejectUnauthorized: request.validateCertificates !== false,
    ...(signal === undefined ? {} : { signal }),
  };
  try {
    if (proxy !== null && url.protocol === "http:") {
      Object.assign(headers, { host: url.host, ...proxyHeaders(proxy) });
      return await send(http.request({ ...options, ...addressOf(proxy), path: url.href }), url, request);
    }
    if (proxy !== null) {
      const secure = await secureTunnel(await openTunnel(proxy, url, options), url, options);
      return await send(https.request(url, { ...options, createConnection: () => secure }), url, request);
    }
    return await send((url.protocol === "https:" ? https : http).request(url, options), url, request);
  } catch (thrown) {
    throw explain(url, proxy, thrown, timeoutMs, signal);
  }
}

function addressOf(proxy: URL): Pick<http.RequestOptions, "host" | "port"> {
  return { host: proxy.hostname.replace(/^\[|\]$/g, ""), port: proxy.port || 80 };
}

function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const user = `${decodeName(proxy.username)}:${decodeName(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(user).toString("base64")}` };
}

/** Open a connection through an HTTP proxy (RFC 9110, section 9.3.6). */
function openTunnel(proxy: URL, url: URL, options: https.RequestOptions): Promise<Socket> {
  const target = `${url.hostname}:${url.port || 443}`;
  return new Promise((resolve, reject) => {
    const asked = http.request({
      ...options,
      ...addressOf(proxy),
      method: "CONNECT",
      path: target,
      headers: { host: target, ...proxyHeaders(proxy) },
    });
    asked.once("connect", (response, socket) => {
      if (response.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`the proxy answers ${response.statusCode ?? 0} ${response.statusMessage ?? ""}`));
    });
    asked.once("response", (response) => {
      response.destroy();
      reject(new Error(`the proxy answers ${response.statusCode ?? 0} ${response.statusMessage ?? ""}`));
    });
    asked.once("timeout", () => asked.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
    asked.once("error", reject);
    asked.end();
  });
}

function secureTunnel(
  socket: Socket,
  url: URL,
  { rejectUnauthorized }: https.RequestOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      servername: url.hostname,
      rejectUnauthorized: rejectUnauthorized !== false,
    });
    secure.once("error", reject);
    secure.once("secureConnect", () => {
      secure.off("error", reject);
      resolve(secure);
    });
  });
}

function send(
  asked: http.ClientRequest,
  url: URL,
  { timeoutMs, signal }: DownloadRequest,
): Promise<DownloadResponse> {
  return new Promise((resolve, reject) => {
    // A body that ends early shows a cut connection, whichever side cut it: remember a timeout.
    let stalled = false;
    asked.once("timeout", () => {
      stalled = true;
      asked.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" }));
    });
    asked.once("error", reject);
    asked.once("response", (response) => {
      resolve({
        status: response.statusCode ?? 0,
        statusText: response.statusMessage ?? "",
        headers: response.headers,
        url,
        body: readBody(response, url, (thrown, size) => {
          if (signal?.aborted !== true && stalled) {
            return new VolleyError(
              "TIMEOUT",
              `${hide(url)} sent nothing for ${timeoutMs / 1000} s, after ${size} bytes`,
              { cause: thrown },
            );
          }
          return explain(url, null, thrown, timeoutMs, signal);
        }),
        close: () => {
          response.on("error", () => {});
          response.destroy();
        },
      });
    });
    asked.end();
  });
}

async function* readBody(
  response: http.IncomingMessage,
  url: URL,
  failed: (thrown: unknown, size: number) => unknown,
): AsyncGenerator<Uint8Array> {
  const declared = response.headers["content-length"];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      yield chunk;
    }
  } catch (thrown) {
    throw failed(thrown, size);
  }
  if (declared !== undefined && Number(declared) !== size)
    throw new VolleyError("ACTION_FAILED", `${hide(url)} ended after ${size} of ${declared} bytes`);
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection was cut",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name server does not answer",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  CERT_HAS_EXPIRED: "its certificate has expired",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by an authority this host knows",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by an authority this host knows",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

function explain(
  url: URL,
  proxy: URL | null,
  thrown: unknown,
  timeoutMs: number,
  signal?: AbortSignal,
): unknown {
  if (thrown instanceof VolleyError || !(thrown instanceof Error)) return thrown;
  if (signal?.aborted)
    return new VolleyError("CANCELLED", `the download of ${hide(url)} was cancelled`, { cause: thrown });
  const code = (thrown as NodeJS.ErrnoException).code ?? "";
  if (code === "ETIMEDOUT")
    return new VolleyError("TIMEOUT", `${hide(url)} did not answer within ${timeoutMs / 1000} s`, {
      cause: thrown,
    });
  const through = proxy === null ? "" : ` through the proxy ${hide(proxy)}`;
  const why = REASONS[code] ?? (thrown.message || code);
  return new VolleyError("ACTION_FAILED", `cannot download ${hide(url)}${through}: ${why}`, {
    cause: thrown,
  });
}

/** Return a URL with its password hidden. */
function hide(url: URL): string {
  const shown = new URL(url.href);
  if (shown.password !== "") shown.password = "***";
  return shown.href;
}

/** Return the proxy for a URL by the variables that curl reads (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`), or null. */
export function proxyFor(url: URL, env: Readonly<Record<string, string | undefined>>): URL | null {
  const of = (name: string): string => env[name] || env[name.toUpperCase()] || "";
  const scheme = url.protocol.slice(0, -1);
  // Ignore HTTP_PROXY in capitals: CGI sets it from a request's header.
  const value = (scheme === "http" ? env.http_proxy : of(`${scheme}_proxy`)) || of("all_proxy");
  if (!value || isExcluded(url, of("no_proxy"))) return null;
  const text = /^[a-z0-9]+:\/\//i.test(value) ? value : `http://${value}`;
  let proxy: URL;
  try {
    proxy = new URL(text);
  } catch (cause) {
    throw new VolleyError("ACTION_FAILED", `the proxy ${value.replace(/:[^@/]*@/, ":***@")} is not a URL`, {
      cause,
      hint: `it stands in the environment: ${scheme}_proxy or all_proxy`,
    });
  }
  return proxy.protocol === "http:" ? proxy : null;
}

function isExcluded(url: URL, list: string): boolean {
  const name = url.hostname.replace(/^\[|\]$/g, "");
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const [, host = "", port] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      const ports = port === undefined || port === (url.port || (url.protocol === "https:" ? "443" : "80"));
      return ports && (name === host || name.endsWith(`.${host}`));
    });
}
