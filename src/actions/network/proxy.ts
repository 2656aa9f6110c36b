import * as http from "node:http";
import type * as https from "node:https";
import { BlockList, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { VolleyError } from "../../core/errors.ts";
import { decodeName } from "./web-url.ts";

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
  const name = url.hostname.replace(/^\[|\]$|\.$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*" || entry === name || isInNetwork(name, entry)) return true;
      const [, bracketed, plain, only] = /^(?:\[(.*)\]|\*?\.?([^:]*?)\.?)(?::(\d+))?$/.exec(entry) ?? [];
      const host = bracketed ?? plain;
      if (host === undefined || (only !== undefined && only !== port)) return false;
      return name === host || (isIP(name) === 0 && name.endsWith(`.${host}`));
    });
}

/** Return whether an address is in a network, such as `10.0.0.0/8`. */
function isInNetwork(address: string, network: string): boolean {
  const [start = "", bits = ""] = network.split("/");
  const block = new BlockList();
  try {
    block.addSubnet(start, Number(bits || Number.NaN), isIP(start) === 4 ? "ipv4" : "ipv6");
  } catch {
    // It is no network.
    return false;
  }
  return block.check(address, isIP(address) === 4 ? "ipv4" : "ipv6");
}

/** Return a proxy's address, as Node's requests take it. */
export function addressOf(proxy: URL): Pick<http.RequestOptions, "host" | "port"> {
  return { host: proxy.hostname.replace(/^\[|\]$/g, ""), port: proxy.port || 80 };
}

/** Return the header that carries the user name and password of a proxy's URL. */
export function proxyHeaders(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const user = `${decodeName(proxy.username)}:${decodeName(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(user).toString("base64")}` };
}

/** Open a connection through an HTTP proxy (RFC 9110, section 9.3.6). */
export function openTunnel(proxy: URL, url: URL, options: https.RequestOptions): Promise<Duplex> {
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

/** Speak TLS over a connection. Fails after the timeout of the options, and when their signal fires. */
export function secureTunnel(socket: Duplex, url: URL, options: https.RequestOptions): Promise<Duplex> {
  const { rejectUnauthorized, ca, cert, key, ciphers, timeout = 0, signal } = options;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      host,
      // RFC 6066 has names alone there.
      ...(isIP(host) === 0 ? { servername: host } : {}),
      rejectUnauthorized: rejectUnauthorized !== false,
      ca,
      cert,
      key,
      ciphers,
    });
    const stop = (): void => {
      secure.setTimeout(0);
      signal?.removeEventListener("abort", abort);
      secure.off("error", fail);
    };
    const fail = (error: Error): void => {
      stop();
      // The connection below may fail, too.
      secure.on("error", () => {}).destroy();
      reject(error);
    };
    const abort = (): void => fail(new Error("aborted"));
    secure.setTimeout(timeout, () => fail(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
    signal?.addEventListener("abort", abort, { once: true });
    secure.once("error", fail);
    secure.once("secureConnect", () => {
      stop();
      resolve(secure);
    });
  });
}
