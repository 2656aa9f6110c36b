import {
  type DownloadRequest,
  type DownloadResponse,
  openDownload,
  reasonOf,
} from "../actions/network/download.ts";
import { decodeName } from "../actions/network/web-url.ts";
import { isVolleyError, printable, VolleyError } from "../core/errors.ts";
import { shownUrl } from "../core/shown-url.ts";
import { loginFromNetrc } from "./netrc.ts";

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
 * Download a file, through the proxies of the environment. Undefined when the server says that it is as `known` describes
 * it. Redirects never lead from https to http, and the login, of the URL or of ~/.netrc, goes to no other server. Fails with `PULL_FAILED`.
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
  const signal = AbortSignal.timeout(limits.totalMs);
  const fail = (problem: string, cause?: unknown, hint?: string): VolleyError =>
    new VolleyError("PULL_FAILED", `cannot download ${shown}: ${problem}`, {
      cause,
      ...(hint === undefined ? {} : { hint }),
    });
  try {
    const response = await follow(url, known, { signal, timeoutMs: limits.silentMs }, fail);
    const { status, statusText, headers } = response;
    const refuse = (problem: string): VolleyError => {
      response.close();
      return fail(problem);
    };
    const isAsked = known.etag !== undefined || known.lastModified !== undefined;
    if (status === 304 && isAsked) {
      response.close();
      return undefined;
    }
    if (status !== 200)
      throw refuse(`the server answers ${`${status} ${printable(statusText, 300)}`.trim()}`);
    const tooLarge = `it has more than ${limits.bytes} bytes`;
    if (Number(headers["content-length"] ?? 0) > limits.bytes) throw refuse(tooLarge);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > limits.bytes) throw refuse(tooLarge);
      chunks.push(chunk);
    }
    const { etag } = headers;
    const lastModified = settledTime(headers);
    return {
      bytes: Buffer.concat(chunks),
      ...(etag === undefined ? {} : { etag }),
      ...(lastModified === undefined ? {} : { lastModified }),
    };
  } catch (thrown) {
    if (!isVolleyError(thrown)) throw fail((thrown as Error).message, thrown);
    if (thrown.code === "PULL_FAILED") throw thrown;
    if (thrown.code === "TIMEOUT")
      throw fail(`the server is silent for ${limits.silentMs / 1_000} s`, thrown);
    if (signal.aborted) throw fail(`it takes longer than ${limits.totalMs / 60_000} minutes`, thrown);
    // The message has a URL of its own, that of a redirect perhaps.
    const { cause, message, hint } = thrown;
    if (!(cause instanceof Error)) throw fail(message, thrown, hint);
    const through = /through the proxy \S+(?=:)/.exec(message)?.[0];
    const reason = `${through === undefined ? "" : `${through}: `}${reasonOf(cause)}`;
    throw fail(reason, thrown, hint ?? hintFor(cause));
  }
}

/** How long after a change its time tells it from another one of the same second, as RFC 9110, 8.8.2.2, has it. */
const SETTLED_MS = 60_000;

/** Return the time of the last change, where it is old enough for the file not to have changed since. */
function settledTime(headers: DownloadResponse["headers"]): string | undefined {
  const time = headers["last-modified"];
  const age = Date.parse(headers.date ?? "") - Date.parse(time ?? "");
  return time !== undefined && age >= SETTLED_MS ? time : undefined;
}

async function follow(
  start: URL,
  { etag, lastModified }: Validators,
  limits: Pick<DownloadRequest, "signal" | "timeoutMs">,
  fail: (problem: string) => VolleyError,
): Promise<DownloadResponse> {
  const login =
    start.username === "" && start.password === ""
      ? loginFromNetrc(start.hostname.replace(/^\[|\]$/g, ""))
      : { username: decodeName(start.username), password: decodeName(start.password) };
  let url = new URL(start);
  for (let left = MAX_REDIRECTS; left >= 0; left--) {
    url.username = "";
    url.password = "";
    const response = await openDownload({
      ...limits,
      url: url.href,
      redirects: "none",
      decompress: true,
      environment: process.env,
      headers: {
        // The bytes as they are: the limit is for what arrives.
        "accept-encoding": "identity",
        ...(etag === undefined ? {} : { "if-none-match": etag }),
        ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
      },
      ...(login !== undefined && url.origin === start.origin ? { ...login, forceBasicAuth: true } : {}),
    });
    const { location } = response.headers;
    if (!REDIRECTS.has(response.status) || location === undefined) return response;
    response.close();
    const next = redirectTarget(location, url);
    if (next === undefined)
      throw fail(`the server leads from ${url.protocol}// to ${shownTarget(location, url)}`);
    url = next;
  }
  throw fail(`the server leads on more than ${MAX_REDIRECTS} times`);
}

function shownTarget(location: string, from: URL): string {
  return printable(
    URL.canParse(location, from.href) ? shownUrl(new URL(location, from.href)) : "what is no URL",
    300,
  );
}

/** Return where a redirect leads; undefined unless that is a place for a bundle, and no less safe than this one. */
export function redirectTarget(location: string, from: URL): URL | undefined {
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  const isSafe = to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:");
  return isSafe ? to : undefined;
}

/** The certificate's dates are compared with this machine's clock, which a machine at its first boot may not have set. */
const CLOCK_CODES = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);
const AUTHORITY_CODES = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

function hintFor({ code = "" }: NodeJS.ErrnoException): string | undefined {
  if (CLOCK_CODES.has(code)) return `this machine's clock says ${new Date().toISOString()}`;
  if (AUTHORITY_CODES.has(code))
    return "NODE_EXTRA_CA_CERTS names a file of further authorities, such as /etc/ssl/certs/ca-certificates.crt";
  const name = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy"].find((one) =>
    /^(?!http:)[a-z0-9]+:\/\//i.test(process.env[one] ?? ""),
  );
  return name === undefined ? undefined : `${name} is not heeded: only proxies of the kind http:// are`;
}
