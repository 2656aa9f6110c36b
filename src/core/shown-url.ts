// URLs in messages, files for everybody and records.

/** Stands for a secret part of a URL. */
export const HIDDEN = "********";

/** Tell whether a URL's protocol is that of web servers. */
export function isWebProtocol(protocol: string): boolean {
  return protocol === "https:" || protocol === "http:";
}

/**
 * Return a URL as messages show it. Passwords and queries may be secrets, such as the signature of an address that is
 * valid for a day, and so may user names of web servers, where a token takes the place of both.
 */
export function shownUrl(url: URL): string {
  const shown = new URL(url);
  if (shown.password !== "") shown.password = HIDDEN;
  else if (shown.username !== "" && isWebProtocol(shown.protocol)) shown.username = HIDDEN;
  if (shown.search === "") return shown.href;
  shown.search = "";
  shown.hash = "";
  return `${shown.href}?${HIDDEN}`;
}

/** Hide the secrets of web URLs in a text, such as another program's message. */
export function hideSecretsOfUrls(text: string): string {
  return text.replace(/https?:\/\/[^\s'"]+/g, (url) => (URL.canParse(url) ? shownUrl(new URL(url)) : url));
}
