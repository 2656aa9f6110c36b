import { VolleyError } from "../../core/errors.ts";

/** Which proxy a request goes through, from the variables curl and most others read (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`); null for none. */
export function proxyFor(url: URL, env: Readonly<Record<string, string | undefined>>): URL | null {
  const of = (name: string): string => env[name] || env[name.toUpperCase()] || "";
  const scheme = url.protocol.slice(0, -1);
  // Not HTTP_PROXY in capitals: a CGI sets that from a request's header.
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
