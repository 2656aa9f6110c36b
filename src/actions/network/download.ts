import * as http from "node:http";
import * as https from "node:https";
import type { Duplex } from "node:stream";
import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { VolleyError } from "../../core/errors.ts";
import { answerChallenge, basicAuthorization, type Credentials } from "./http-auth.ts";
import { addressOf, openTunnel, proxyFor, proxyHeaders, secureTunnel } from "./proxy.ts";
import { decodeName, hidePassword as hide, parseRedirect, parseWebUrl } from "./web-url.ts";

/** The parameters of TLS beside the verification of certificates. */
export interface TlsFiles {
  /** Certificates of authorities (PEM), instead of the system's. */
  readonly ca?: Uint8Array;
  /** The client's certificate (PEM). */
  readonly cert?: Uint8Array;
  readonly key?: Uint8Array;
  /** OpenSSL's cipher list. */
  readonly ciphers?: string;
}

/** The redirects to follow: all, those of GET and HEAD, none, or those that Python's urllib2 follows. */
export type RedirectPolicy = "all" | "safe" | "none" | "urllib2";

/** A request to a web server. */
export interface DownloadRequest {
  readonly url: string;
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  /** Limit of silence: while connecting, before the answer, and between two parts of it. */
  readonly timeoutMs: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Send user name and password with the first request. Default: only after a 401. */
  readonly forceBasicAuth?: boolean;
  /** Default true. */
  readonly validateCertificates?: boolean;
  readonly tls?: TlsFiles;
  /** The environment that names proxies. Default: no proxy. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default: all. */
  readonly redirects?: RedirectPolicy;
  /** Headers that the target of a redirect does not get. */
  readonly unredirectedHeaders?: readonly string[];
  /** Decompress a body of `Content-Encoding: gzip`. Default: false. */
  readonly decompress?: boolean;
  /** The Unix socket to talk to, whatever the URL's host. */
  readonly socketPath?: string | undefined;
  /** Opens connections from another machine. Default: from this one. */
  readonly dial?: ((host: string, port: number) => Promise<NodeJS.ReadWriteStream>) | undefined;
  readonly signal?: AbortSignal;
}

/** An answer; its body must be read, or dropped with `close`. */
export interface DownloadResponse {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Readonly<http.IncomingHttpHeaders>;
  /** The URL after redirects. */
  readonly url: URL;
  /** The cookies that the servers on the way have set. */
  readonly cookies: ReadonlyMap<string, string>;
  readonly body: AsyncIterable<Uint8Array>;
  close(): void;
}

const MAX_REDIRECTS = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_TEXT_BYTES = 1 << 20;

/** A request; redirects and challenges cause several. */
interface Step {
  readonly url: URL;
  readonly method: string;
  readonly body: Uint8Array | undefined;
  /** The value of the header. */
  readonly authorization?: string | undefined;
  /** False for another server than the first, which gets no credentials. */
  readonly sameOrigin: boolean;
  readonly isRedirected: boolean;
  readonly cookie: string;
}

/** Request a URL and follow redirects. Any status is an answer; fails with `ACTION_FAILED` or `TIMEOUT` when the server cannot be reached. */
export async function openDownload(request: DownloadRequest): Promise<DownloadResponse> {
  let url = parseWebUrl(request.url);
  const { origin } = url;
  const credentials = credentialsOf(url, request);
  const cookies = new Map<string, { readonly value: string; readonly host: string }>();
  let { method = "GET", body } = request;
  let authorization =
    request.forceBasicAuth === true && credentials !== undefined
      ? basicAuthorization(credentials)
      : undefined;
  let isChallenged = authorization !== undefined;
  let redirects = 0;
  for (;;) {
    // Credentials belong to the first server, not to the target of a redirect.
    const sameOrigin = url.origin === origin;
    const { hostname } = url;
    const cookie = [...cookies]
      .filter(([, { host }]) => host === hostname)
      .map(([name, { value }]) => `${name}=${value}`)
      .join("; ");
    const step: Step = { url, method, body, sameOrigin, isRedirected: redirects > 0, cookie, authorization };
    const response = await requestOnce(step, request);
    const { status, headers } = response;
    for (const line of headers["set-cookie"] ?? []) {
      const [, name = "", value = ""] = /^\s*([^=;]+?)\s*=\s*([^;]*?)\s*(?:;|$)/.exec(line) ?? [];
      if (name !== "") cookies.set(name, { value, host: hostname });
    }
    if (status === 401 && !isChallenged && sameOrigin && credentials !== undefined) {
      isChallenged = true;
      authorization = answerChallenge(headers["www-authenticate"] ?? "", credentials, {
        method,
        path: url.pathname + url.search,
      });
      if (authorization !== undefined) {
        response.close();
        continue;
      }
    } else if (isFollowed(request.redirects ?? "all", method, status) && headers.location !== undefined) {
      response.close();
      if (++redirects > MAX_REDIRECTS)
        throw new VolleyError("ACTION_FAILED", `${request.url} redirects more than ${MAX_REDIRECTS} times`);
      url = parseRedirect(headers.location, url);
      const becomesGet = status === 301 ? method === "POST" : status <= 303 && method !== "HEAD";
      if (becomesGet) [method, body] = ["GET", undefined];
      continue;
    }
    return {
      ...response,
      cookies: new Map([...cookies].map(([name, { value }]) => [name, value])),
      body: decompressed(response, request),
    };
  }
}

function isFollowed(policy: RedirectPolicy, method: string, status: number): boolean {
  if (!REDIRECTS.includes(status) || policy === "none") return false;
  const isSafe = method === "GET" || method === "HEAD";
  if (policy === "safe") return isSafe;
  if (policy === "urllib2") return isSafe || (method === "POST" && status <= 303);
  return true;
}

/** Return an answer's body without its compression, where the request wants that. */
function decompressed(
  { headers, body }: Pick<DownloadResponse, "headers" | "body">,
  { decompress, method }: DownloadRequest,
): AsyncIterable<Uint8Array> {
  const isGzip = /^(x-)?gzip$/i.test(headers["content-encoding"] ?? "");
  return decompress === true && isGzip && method !== "HEAD" ? gunzip(body) : body;
}

async function* gunzip(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // An error of either stream ends the other, and the loop below with it.
  const plain = pipeline(Readable.from(body), createGunzip(), () => {});
  yield* plain as AsyncIterable<Uint8Array>;
}

/** Download a text of at most 1 MiB, such as a list of checksums. Fails with `ACTION_FAILED` unless the status is 200. */
export async function downloadText(request: DownloadRequest): Promise<string> {
  const response = await openDownload(request);
  if (response.status !== 200) throw refusal(request.url, response);
  return (await readAll(response.body, MAX_TEXT_BYTES, request.url)).toString("utf8");
}

/** Read a body of at most `max` bytes. Fails with `ACTION_FAILED` for a longer one. */
export async function readAll(body: AsyncIterable<Uint8Array>, max: number, url: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > max) throw new VolleyError("ACTION_FAILED", `${url} is longer than ${max >> 20} MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Drop an answer whose status is an error, and make the error that reports it. */
export function refusal(
  url: string,
  { status, statusText, close }: Pick<DownloadResponse, "status" | "statusText" | "close">,
): VolleyError {
  close();
  return new VolleyError(
    "ACTION_FAILED",
    `cannot download ${url}: the server answers ${status} ${statusText}`,
  );
}

function credentialsOf(url: URL, { username, password }: DownloadRequest): Credentials | undefined {
  if (username === undefined && url.username === "") return undefined;
  return {
    username: username ?? decodeName(url.username),
    password: password ?? decodeName(url.password),
  };
}

type Answer = Omit<DownloadResponse, "cookies">;

function headersOf(
  { sameOrigin, isRedirected, authorization, body, cookie }: Step,
  request: DownloadRequest,
) {
  const unredirected = request.unredirectedHeaders?.map((name) => name.toLowerCase()) ?? [];
  const given = Object.entries(request.headers ?? {})
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => sameOrigin || !/^(authorization|cookie)$/.test(name))
    .filter(([name]) => !isRedirected || !unredirected.includes(name))
    // A request that became a GET has no body to describe.
    .filter(
      ([name]) => body !== undefined || request.body === undefined || !/^content-(type|length)$/.test(name),
    );
  const headers: Record<string, string> = {
    "user-agent": "volley",
    accept: "*/*",
    ...(cookie === "" ? {} : { cookie }),
    ...Object.fromEntries(given),
    ...(body === undefined ? {} : { "content-length": String(body.length) }),
    ...(authorization === undefined || !sameOrigin ? {} : { authorization }),
  };
  return headers;
}

async function requestOnce(step: Step, request: DownloadRequest): Promise<Answer> {
  const { url, method } = step;
  const { timeoutMs, signal, environment = {}, tls = {}, socketPath, dial } = request;
  const headers = headersOf(step, request);
  const proxy = socketPath === undefined ? proxyFor(url, environment) : null;
  const options: https.RequestOptions = {
    method,
    headers,
    timeout: timeoutMs,
    agent: false,
    rejectUnauthorized: request.validateCertificates !== false,
    ...tlsOptions(tls),
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(signal === undefined ? {} : { signal }),
  };
  const ask = (asked: http.ClientRequest): Promise<Answer> => send(asked, step, request);
  const over = (connection: Duplex): https.RequestOptions => {
    // Connections from another machine have no timers of their own.
    const { timeout, ...untimed } = options;
    const isTimed = "setTimeout" in connection;
    return { ...untimed, ...(isTimed ? { timeout } : {}), createConnection: () => connection };
  };
  try {
    const dialled = dial === undefined ? undefined : await dialFor(proxy ?? url, dial, request);
    if (proxy !== null && url.protocol === "http:") {
      Object.assign(headers, { host: url.host, ...proxyHeaders(proxy) });
      const toProxy = { ...options, ...addressOf(proxy), path: url.href };
      return await ask(http.request(dialled === undefined ? toProxy : { ...toProxy, ...over(dialled) }));
    }
    if (proxy !== null || (dialled !== undefined && url.protocol === "https:")) {
      const base =
        proxy === null
          ? dialled!
          : await openTunnel(proxy, url, dialled === undefined ? options : over(dialled));
      return await ask(https.request(url, over(await secureTunnel(base, url, options))));
    }
    if (dialled !== undefined) return await ask(http.request(url, over(dialled)));
    return await ask((url.protocol === "https:" ? https : http).request(url, options));
  } catch (thrown) {
    throw explain(url, proxy, thrown, timeoutMs, signal);
  }
}

function tlsOptions({ ca, cert, key, ciphers }: TlsFiles): https.RequestOptions {
  return {
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    ...(ciphers === undefined ? {} : { ciphers }),
  };
}

/** Open a connection from another machine, within the limit of silence. */
async function dialFor(
  { hostname, port, protocol }: URL,
  dial: NonNullable<DownloadRequest["dial"]>,
  { timeoutMs, signal }: DownloadRequest,
): Promise<Duplex> {
  const dialled = dial(hostname.replace(/^\[|\]$/g, ""), Number(port || (protocol === "https:" ? 443 : 80)));
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })), timeoutMs);
    onAbort = () => reject(new Error("aborted"));
    signal?.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return (await Promise.race([dialled, ended])) as Duplex;
  } catch (thrown) {
    dialled.then((late) => void (late as Duplex).destroy()).catch(() => {});
    throw thrown;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort!);
  }
}

function send(
  asked: http.ClientRequest,
  { url, body, method }: Step,
  { timeoutMs, signal, dial }: DownloadRequest,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // A body that ends early shows a cut connection, whichever side cut it: remember a timeout.
    let stalled = false;
    const silence = (): void => {
      stalled = true;
      asked.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" }));
    };
    const timer = dial === undefined ? undefined : setTimeout(silence, timeoutMs);
    asked.once("timeout", silence);
    asked.once("close", () => clearTimeout(timer));
    asked.once("error", reject);
    asked.once("response", (response) => {
      timer?.refresh();
      resolve({
        status: response.statusCode ?? 0,
        statusText: response.statusMessage ?? "",
        headers: response.headers,
        url,
        body: readBody(response, url, method, timer, (thrown, size) => {
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
    asked.end(body);
  });
}

async function* readBody(
  response: http.IncomingMessage,
  url: URL,
  method: string,
  timer: NodeJS.Timeout | undefined,
  failed: (thrown: unknown, size: number) => unknown,
): AsyncGenerator<Uint8Array> {
  const declared = method === "HEAD" ? undefined : response.headers["content-length"];
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      timer?.refresh();
      yield chunk;
    }
  } catch (thrown) {
    throw failed(thrown, size);
  }
  if (declared !== undefined && Number(declared) !== size && ![204, 304].includes(response.statusCode ?? 0))
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
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by an authority this host knows",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by an authority this host knows",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by an authority this host knows",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};

/** Return the reason why a server cannot be reached, by Node's error. */
export function reasonOf({ message, code = "" }: NodeJS.ErrnoException): string {
  // OpenSSL's messages name its functions and files.
  const fault = /:SSL routines:[^:]*:([^:]+):/.exec(message)?.[1];
  const isPlain = fault === "wrong version number" || fault === "packet length too long";
  return (
    REASONS[code] ??
    (isPlain ? "it does not speak TLS" : fault === undefined ? message || code : `TLS fails: ${fault}`)
  );
}

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
  return new VolleyError("ACTION_FAILED", `cannot download ${hide(url)}${through}: ${reasonOf(thrown)}`, {
    cause: thrown,
  });
}
