import { setTimeout as pause } from "node:timers/promises";
import {
  type DownloadRequest,
  type DownloadResponse,
  openDownload,
  readAll,
  reasonOf,
} from "../../actions/network/download.ts";
import { decodeName } from "../../actions/network/web-url.ts";
import { isVolleyError, messageOf, printable, VolleyError } from "../../core/errors.ts";
import { shownUrl } from "../../core/shown-url.ts";
import { MAX_FILE_BYTES, type Place } from "./place.ts";

/** Limits of a server's silence, and of a whole request. */
const SILENT_MS = 60_000;
const TOTAL_MS = 10 * 60_000;

/** A request without its limits. */
export type WebRequest = Pick<
  DownloadRequest,
  "url" | "headers" | "username" | "password" | "forceBasicAuth" | "body"
>;

/** The differences between stores that speak HTTP. */
export interface WebPlaceKind {
  readonly shown: string;
  readonly env: NodeJS.ProcessEnv;
  /** Milliseconds before each attempt after the first. */
  readonly pausesMs: readonly number[];
  /** Make the request for a file, anew for each attempt. */
  request(method: Method, name: string, body: Uint8Array | undefined): WebRequest | Promise<WebRequest>;
  /** Return advice for an answer that is an error. */
  hintFor(answer: Answer, method: Method): string | undefined;
  /** Return the server's own word for an error, from the answer's body. */
  problemIn?(body: string): string | undefined;
}

type Method = "HEAD" | "GET" | "PUT";

/** The whole answer of a server. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: DownloadResponse["headers"];
  readonly body: Buffer;
}

/**
 * Keep bundles on a web server that takes HEAD, PUT and GET of `NAME.age` below a URL. The login is the URL's own, by
 * Basic authentication, else the bearer token of `$VOLLEY_BUNDLE_STORE_TOKEN`.
 */
export function webPlace(base: URL, env: NodeJS.ProcessEnv, pausesMs: readonly number[]): Place {
  const { VOLLEY_BUNDLE_STORE_TOKEN: token } = env;
  const bare = new URL(base);
  bare.username = "";
  bare.password = "";
  const login =
    base.username === "" && base.password === ""
      ? token
        ? { headers: { authorization: `Bearer ${token}` } }
        : {}
      : {
          username: decodeName(base.username),
          password: decodeName(base.password),
          forceBasicAuth: true,
        };
  return placeOf({
    shown: `the bundle store ${printable(shownUrl(base), 300)}`,
    env,
    pausesMs,
    request: (_method, name, body) => {
      const url = new URL(bare);
      url.pathname = `${url.pathname.replace(/\/$/, "")}/${name}.age`;
      return { url: url.href, body, ...login };
    },
    hintFor: ({ status }, method) => {
      if (status === 401 || status === 403)
        return "its login is https://USER:PASSWORD@… in the URL, or a bearer token in VOLLEY_BUNDLE_STORE_TOKEN";
      const isPut = method === "PUT" && [404, 405, 409, 501].includes(status);
      return isPut ? "it must be a directory that takes PUT, as WebDAV servers have" : undefined;
    },
  });
}

/** Make a place of a kind of web server. */
export function placeOf(kind: WebPlaceKind): Place {
  const { shown } = kind;
  const send = (method: Method, name: string, body?: Uint8Array) =>
    sendPatiently(kind, method, () => kind.request(method, name, body));
  const refuse = (answer: Answer, method: Method): VolleyError => {
    const { status, statusText, body } = answer;
    const problem = kind.problemIn?.(body.subarray(0, 4_096).toString("utf8")) ?? statusText;
    const hint = kind.hintFor(answer, method);
    return new VolleyError(
      "QUEUE_FAILED",
      `${shown} answers ${method} with ${`${status} ${printable(problem, 300)}`.trim()}`,
      hint === undefined ? {} : { hint },
    );
  };
  const isMissing = ({ status }: Answer): boolean => status === 404 || status === 410;
  const isDone = ({ status }: Answer): boolean => status >= 200 && status < 300;
  return {
    shown,
    hintIfMissing: "somebody has removed it there: start the run again",
    has: async (name) => {
      const answer = await send("HEAD", name);
      if (!isDone(answer) && !isMissing(answer)) throw refuse(answer, "HEAD");
      return isDone(answer);
    },
    put: async (name, bytes) => {
      const answer = await send("PUT", name, bytes);
      if (!isDone(answer)) throw refuse(answer, "PUT");
    },
    get: async (name) => {
      const answer = await send("GET", name);
      if (answer.status === 200) return answer.body;
      if (isMissing(answer)) return undefined;
      throw refuse(answer, "GET");
    },
  };
}

/** Send a request, again after faults of the network and of the server's own. The last answer stands, whatever it is. */
async function sendPatiently(
  { shown, env, pausesMs }: WebPlaceKind,
  method: Method,
  request: () => WebRequest | Promise<WebRequest>,
): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    const limit = AbortSignal.timeout(TOTAL_MS);
    const isLast = attempt === pausesMs.length;
    try {
      const response = await openDownload({
        ...(await request()),
        method,
        timeoutMs: SILENT_MS,
        redirects: "safe",
        environment: env,
        signal: limit,
      });
      const { status, statusText, headers } = response;
      const body = await readAll(response.body, MAX_FILE_BYTES, shown);
      const isForNow = status >= 500 || status === 429 || status === 408;
      if (isLast || !isForNow) return { status, statusText, headers, body };
    } catch (thrown) {
      if (isLast)
        throw new VolleyError("QUEUE_FAILED", `${shown} cannot be reached: ${reasonFor(thrown, limit)}`, {
          cause: thrown,
        });
    }
    await pause(pausesMs[attempt]);
  }
}

function reasonFor(thrown: unknown, limit: AbortSignal): string {
  if (limit.aborted) return `it takes longer than ${TOTAL_MS / 60_000} minutes`;
  if (isVolleyError(thrown) && thrown.code === "TIMEOUT") return `it is silent for ${SILENT_MS / 1_000} s`;
  // The message has the URL, and a secret perhaps with it.
  const cause = (thrown as { readonly cause?: unknown }).cause;
  return printable(cause instanceof Error ? reasonOf(cause) : messageOf(thrown), 300);
}
