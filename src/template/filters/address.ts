import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { posix } from "node:path";
import { fail } from "../errors.ts";
import { type Callable, type CallState, callable, isList, str, text, tuple, typeName } from "../values.ts";

function realpath(path: string): string {
  const absolute = posix.resolve(path);
  try {
    return realpathSync(absolute);
  } catch {
    // As in Python, a path is resolved as far as it exists.
    const parent = posix.dirname(absolute);
    return parent === absolute ? absolute : posix.join(realpath(parent), posix.basename(absolute));
  }
}

function splitExtension(path: string): [string, string] {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const dot = base.lastIndexOf(".");
  if (dot <= 0 || /^\.+$/.test(base.slice(0, dot))) return [path, ""];
  const at = path.length - base.length + dot;
  return [path.slice(0, at), path.slice(at)];
}

function dirname(path: string): string {
  const head = path.slice(0, path.lastIndexOf("/") + 1);
  return /^\/*$/.test(head) ? head : head.replace(/\/+$/, "");
}

function join(value: unknown): string {
  if (typeof value !== "string" && !isList(value))
    return fail(`|path_join expects string or sequence, got <class '${typeName(value)}'> instead.`);
  const parts = typeof value === "string" ? [value] : value.map(text);
  return parts.reduce(
    (path, part) =>
      part.startsWith("/") || path === "" ? part : `${path}${path.endsWith("/") ? "" : "/"}${part}`,
    "",
  );
}

const ofPath = (body: (path: string) => unknown): Callable =>
  callable(["value"], (value: unknown) => body(text(value)));

/** Ansible's filters of paths, as Python's `os.path` computes them. */
export const pathFilters: Readonly<Record<string, Callable>> = {
  basename: ofPath((path) => path.slice(path.lastIndexOf("/") + 1)),
  dirname: ofPath(dirname),
  splitext: ofPath((path) => tuple(...splitExtension(path))),
  expanduser: callable(["value"], (value: unknown, state: CallState) =>
    text(value).replace(/^~(?=\/|$)/, () => state.env.HOME ?? homedir()),
  ),
  realpath: ofPath(realpath),
  normpath: ofPath((path) => posix.normalize(path).replace(/(.)\/$/, "$1")),
  relpath: callable(
    ["value", "start"],
    (value: unknown, start: unknown = ".") =>
      posix.relative(posix.resolve(text(start)), posix.resolve(text(value))) || ".",
  ),
  path_join: callable(["value"], join),
  win_basename: ofPath((path) => path.split(/[\\/]/).at(-1) ?? ""),
  win_dirname: ofPath((path) => {
    const head = path.replace(/[^\\/]*$/, "");
    return /^(?:[A-Za-z]:)?[\\/]+$/.test(head) ? head : head.replace(/[\\/]+$/, "");
  }),
};

/** Split a URL into the parts of Python's `urlsplit`; RFC 3986, appendix B. */
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
  return parts.has(str(query))
    ? parts.get(str(query))
    : fail(`urlsplit: unknown URL component: ${str(query)}`);
}

/** Decode `%41`; what is no such code stays. */
function unquote(text: string): string {
  return text.replace(/(?:%[\da-f]{2})+/gi, (codes) =>
    Buffer.from(codes.replaceAll("%", ""), "hex").toString("utf8"),
  );
}

/** Ansible's filters of URLs. */
export const urlFilters: Readonly<Record<string, Callable>> = {
  urlsplit: callable(["value", "query"], (value: unknown, query: unknown) => urlSplit(str(value), query)),
  urldecode: callable(["value"], (value: unknown) => unquote(str(value).replaceAll("+", " "))),
};
