import { printable, VolleyError } from "../core/errors.ts";

// A file from a web server, bounded in size and time, unless it is unchanged.

/** Headers by which a server tells one state of a file from another. */
export interface Validators {
  readonly etag?: string;
  readonly lastModified?: string;
}

/** A file that was fetched. */
export interface Downloaded extends Validators {
  readonly bytes: Buffer;
}

/** Limits of a download. */
export interface DownloadLimits {
  /** Largest size of the file, in bytes. */
  readonly bytes: number;
  /** For the whole download, in milliseconds. */
  readonly totalMs: number;
  /** Without any byte from the server, in milliseconds. */
  readonly silentMs: number;
}

export const DOWNLOAD_LIMITS: DownloadLimits = {
  bytes: 200 * 1024 * 1024,
  totalMs: 20 * 60_000,
  silentMs: 60_000,
};

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Download a file, by Node's own `fetch`. Undefined when the server says that it is as `known` describes it. Redirects
 * never lead from https to http, and a password goes to no other server. Fails with `PULL_FAILED`.
 *
 * @param shown The URL in messages.
 */
export async function download(
  url: URL,
  shown: string,
  {
    known = {},
    limits = DOWNLOAD_LIMITS,
  }: { readonly known?: Validators; readonly limits?: DownloadLimits } = {},
): Promise<Downloaded | undefined> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), limits.silentMs);
  const signal = AbortSignal.any([silence.signal, AbortSignal.timeout(limits.totalMs)]);
  const fail = (problem: string, cause?: unknown): VolleyError =>
    new VolleyError("PULL_FAILED", `cannot download ${shown}: ${problem}`, { cause, ...proxyHint() });
  try {
    const response = await follow(url, known, signal, fail);
    const isAsked = known.etag !== undefined || known.lastModified !== undefined;
    if (response.status === 304 && isAsked) return undefined;
    if (response.status !== 200) {
      await response.body?.cancel();
      throw fail(`the server answers ${`${response.status} ${response.statusText}`.trim()}`);
    }
    const tooLarge = (): VolleyError => fail(`it has more than ${limits.bytes} bytes`);
    if (Number(response.headers.get("content-length") ?? 0) > limits.bytes) {
      await response.body?.cancel();
      throw tooLarge();
    }
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      timer.refresh();
      size += (chunk as Uint8Array).length;
      if (size > limits.bytes) throw tooLarge();
      chunks.push(chunk as Uint8Array);
    }
    const etag = response.headers.get("etag");
    const lastModified = settledTime(response.headers);
    return {
      bytes: Buffer.concat(chunks),
      ...(etag === null ? {} : { etag }),
      ...(lastModified === undefined ? {} : { lastModified }),
    };
  } catch (thrown) {
    if (thrown instanceof VolleyError) throw thrown;
    if (silence.signal.aborted) throw fail(`the server is silent for ${limits.silentMs / 1_000} s`, thrown);
    if (signal.aborted) throw fail(`it takes longer than ${limits.totalMs / 60_000} minutes`, thrown);
    throw fail(reasonOf(thrown), thrown);
  } finally {
    clearTimeout(timer);
  }
}

/** How long after a change its time tells it from another one of the same second, as RFC 9110, 8.8.2.2, has it. */
const SETTLED_MS = 60_000;

/** Return the time of the last change, where it is old enough for the file not to have changed since. */
function settledTime(headers: Headers): string | undefined {
  const time = headers.get("last-modified");
  const age = Date.parse(headers.get("date") ?? "") - Date.parse(time ?? "");
  return time !== null && age >= SETTLED_MS ? time : undefined;
}

async function follow(
  start: URL,
  { etag, lastModified }: Validators,
  signal: AbortSignal,
  fail: (problem: string) => VolleyError,
): Promise<Response> {
  const { username, password } = start;
  const login = [username, password].map(decodeURIComponent).join(":");
  let url = new URL(start);
  for (let left = MAX_REDIRECTS; left >= 0; left--) {
    // fetch() refuses a URL with a login in it.
    url.username = "";
    url.password = "";
    const response = await fetch(url.href, {
      signal,
      redirect: "manual",
      headers: {
        // The bytes as they are: the limit is for what arrives.
        "accept-encoding": "identity",
        "user-agent": "volley",
        ...(etag === undefined ? {} : { "if-none-match": etag }),
        ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
        ...(login !== ":" && url.origin === start.origin
          ? { authorization: `Basic ${Buffer.from(login).toString("base64")}` }
          : {}),
      },
    });
    const location = response.headers.get("location");
    if (!REDIRECTS.has(response.status) || location === null) return response;
    await response.body?.cancel();
    const next = redirectTarget(location, url);
    if (next === undefined)
      throw fail(`the server leads from ${url.protocol}// to ${printable(location, 300)}`);
    url = next;
  }
  throw fail(`the server leads on more than ${MAX_REDIRECTS} times`);
}

/** Return where a redirect leads; undefined unless that is a place for a bundle, and no less safe than this one. */
export function redirectTarget(location: string, from: URL): URL | undefined {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  const isSafe = to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:");
  return isSafe ? to : undefined;
}

/** fetch() says no more than "fetch failed"; its cause says why. */
function reasonOf(thrown: unknown): string {
  const { cause, message } = thrown as Error;
  const { code, message: why } = (cause ?? {}) as { readonly code?: string; readonly message?: string };
  if (code === "ECONNREFUSED") return "the connection is refused";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the name of the server is not known";
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET") return "the connection was cut";
  return why || message;
}

/** Node follows proxies of the environment only when told so, from version 24 on. */
function proxyHint(): { readonly hint?: string } {
  const { env } = process;
  const name = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"].find(
    (one) => (env[one] ?? "") !== "",
  );
  if (name === undefined || env.NODE_USE_ENV_PROXY === "1") return {};
  return { hint: `${name} is not heeded: Node 24 does with NODE_USE_ENV_PROXY=1, older ones never do` };
}
