import { VolleyError } from "../../core/errors.ts";

/** Tell whether a text is an `http:` or `https:` URL. */
export function isWebUrl(text: string): boolean {
  return URL.canParse?.(text) !== false && /^https?:\/\/[^/]/i.test(text);
}

/** Read an `http:` or `https:` URL. Fails with `ACTION_FAILED`. */
export function parseWebUrl(text: string): URL {
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

/** Read the target of a redirect. Fails with `ACTION_FAILED`. */
export function parseRedirect(location: string, from: URL): URL {
  let url: URL;
  try {
    url = new URL(location, from);
  } catch (cause) {
    throw new VolleyError(
      "ACTION_FAILED",
      `${hidePassword(from)} redirects to ${location}, which is not a URL`,
      {
        cause,
      },
    );
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new VolleyError(
      "ACTION_FAILED",
      `${hidePassword(from)} redirects to ${hidePassword(url)}: only http and https are known`,
    );
  }
  return url;
}

/** Decode percent-encoding; return invalid text unchanged. */
export function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Return a URL with its password hidden. */
export function hidePassword(url: URL): string {
  const shown = new URL(url.href);
  if (shown.password !== "") shown.password = "***";
  return shown.href;
}

/** Return the last part of a URL's path; `index.html` when it is empty. */
export function nameInUrl(url: URL): string {
  return decodeName(url.pathname.slice(url.pathname.lastIndexOf("/") + 1)) || "index.html";
}
