import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

// The gate of the server that shows a run. Every user and every web page of this machine can reach a loopback port.

/** The names under which a browser may reach the server: another one is a name that was made to point here. */
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(["127.0.0.1", "localhost"]);

/** Part of a request that its permission depends on. */
interface AskedRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** A request that is let in, or the reason why not. */
export type Admission =
  | { readonly path: string; readonly query: URLSearchParams }
  | { readonly status: 403 | 405; readonly reason: string };

/**
 * Let a request in when its path begins with the token, and the browser says that neither another page nor another name
 * led to it. The token is in the path and in no cookie: a browser sends a cookie of one port to all ports of its host.
 */
export function admit({ method, url, headers }: AskedRequest, token: string): Admission {
  if (method !== "GET") return { status: 405, reason: "Only GET is answered here." };
  if (!isLoopback(headers.host))
    return { status: 403, reason: "This address is not one of this machine's loopback interface." };
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none")
    return { status: 403, reason: "Another page led here: type or paste the address." };
  if (headers.origin !== undefined && headers.origin !== `http://${headers.host}`)
    return { status: 403, reason: "A page of another origin asks for this." };
  const [path = "", query = ""] = (url ?? "").split("?", 2);
  const [, given = "", ...rest] = path.split("/");
  if (!isSame(given, token))
    return { status: 403, reason: "The address lacks its token, or has an old one." };
  return { path: rest.join("/"), query: new URLSearchParams(query) };
}

/** The port may be another one: that of `ssh -L`. */
function isLoopback(host: string | undefined): boolean {
  return host !== undefined && LOOPBACK_NAMES.has(host.toLowerCase().replace(/:\d+$/, ""));
}

/** Compare in a time that tells nothing of how much is right. */
function isSame(given: string, token: string): boolean {
  const [one, other] = [given, token].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(one!, other!);
}
