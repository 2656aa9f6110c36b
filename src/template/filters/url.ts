import { callable } from "../calls.ts";
import { fail } from "../errors.ts";
import { str } from "../repr.ts";
import type { Callable } from "../values.ts";

/** The parts of a URL, by the names of Python's `urlsplit`; RFC 3986 appendix B. */
function urlSplit(url: string, query: unknown): unknown {
  const [, scheme = "", netloc = "", path = "", search = "", fragment = ""] =
    /^(?:([A-Za-z][\w+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(url) ?? [];
  const [, username = null, password = null, bracketed, plain, port] =
    /^(?:([^:@]*)(?::([^@]*))?@)?(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(netloc) ?? [];
  const hostname = bracketed ?? plain ?? "";
  const parts = new Map<string, unknown>([
    ["fragment", fragment],
    ["hostname", hostname === "" ? null : hostname.toLowerCase()],
    ["netloc", netloc],
    ["password", password],
    ["path", path],
    ["port", port === undefined || port === "" ? null : Number(port)],
    ["query", search],
    ["scheme", scheme.toLowerCase()],
    ["username", username],
  ]);
  if (query === undefined || query === "") return parts;
  return parts.has(str(query)) ? parts.get(str(query)) : fail(`urlsplit has no part '${str(query)}'`);
}

/** Ansible's filters of URLs. */
export const urlFilters: Readonly<Record<string, Callable>> = {
  urlsplit: callable(["value", "query"], (value: unknown, query: unknown) => urlSplit(str(value), query)),
  urldecode: callable(["value"], (value: unknown) => decodeURIComponent(str(value).replaceAll("+", " "))),
};
