import { realpathSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { homedir } from "node:os";
import { posix } from "node:path";
import { groupsOfIPv6 } from "../../core/values/ipv6.ts";
import { fail } from "../errors.ts";
import {
  asNumber,
  type Callable,
  type CallState,
  callable,
  isList,
  iterate,
  str,
  text,
  tuple,
} from "../values.ts";

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
  const parts = typeof value === "string" ? [value] : iterate(value).map(text);
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
  win_dirname: ofPath((path) => path.replace(/[\\/]?[^\\/]*$/, "")),
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
  return parts.has(str(query)) ? parts.get(str(query)) : fail(`urlsplit has no part '${str(query)}'`);
}

/** Ansible's filters of URLs. */
export const urlFilters: Readonly<Record<string, Callable>> = {
  urlsplit: callable(["value", "query"], (value: unknown, query: unknown) => urlSplit(str(value), query)),
  urldecode: callable(["value"], (value: unknown) => decodeURIComponent(str(value).replaceAll("+", " "))),
};

interface Address {
  readonly version: 4 | 6;
  readonly value: bigint;
  /** The bits of the network; null for a text without them. */
  readonly prefix: number | null;
}

const bitsOf = (version: 4 | 6): number => (version === 4 ? 32 : 128);

function parseNumber(text: string): { version: 4 | 6; value: bigint } | null {
  if (isIPv4(text))
    return { version: 4, value: text.split(".").reduce((value, part) => value * 256n + BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes("%")) return null;
  return {
    version: 6,
    value: groupsOfIPv6(text).reduce((value, group) => value * 65_536n + BigInt(group), 0n),
  };
}

function parse(text: string): Address | null {
  const [address = "", suffix, ...rest] = text.trim().split("/");
  const found = parseNumber(address);
  if (found === null || rest.length > 0) return null;
  if (suffix === undefined) return { ...found, prefix: null };
  const mask = /^\d+$/.test(suffix) ? Number(suffix) : maskBits(suffix);
  return mask === null || mask > bitsOf(found.version) ? null : { ...found, prefix: mask };
}

function maskBits(text: string): number | null {
  const found = parseNumber(text);
  if (found?.version !== 4) return null;
  const bits = found.value.toString(2).padStart(32, "0");
  return /^1*0*$/.test(bits) ? bits.replaceAll("0", "").length : null;
}

function write(version: 4 | 6, value: bigint): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const words = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 65_535n).toString(16),
  ).join(":");
  const longest = (words.match(/\b0(?::0)+\b/g) ?? []).sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) return words;
  const at = words.search(new RegExp(`(?<![\\da-f])${longest}(?![\\da-f])`));
  return `${words.slice(0, at).replace(/:$/, "")}::${words.slice(at + longest.length).replace(/^:/, "")}`;
}

/** Answer a question of `ipaddr` about an address; false and null mean "no". */
function answer(text: string, address: Address, query: string): unknown {
  const { version, value } = address;
  const bits = bitsOf(version);
  const prefix = address.prefix ?? bits;
  const host = (1n << BigInt(bits - prefix)) - 1n;
  const network = value & ~host;
  const show = (number: bigint): string => write(version, number);
  switch (query) {
    case "":
      return show(value) + (address.prefix === null ? "" : `/${prefix}`);
    case "address":
    case "ip":
      return address.prefix !== null && prefix < bits && value === network ? null : show(value);
    case "network":
    case "network_id":
      return show(network);
    case "netmask":
      return show(((1n << BigInt(bits)) - 1n) & ~host);
    case "hostmask":
    case "wildcard":
      return show(host);
    case "prefix":
      return prefix;
    case "broadcast":
      return version === 6 || prefix >= 31 ? "" : show(network | host);
    case "net":
      return address.prefix !== null && value === network ? `${show(network)}/${prefix}` : false;
    case "subnet":
    case "network/prefix":
      return `${show(network)}/${prefix}`;
    case "host":
    case "address/prefix":
    case "host/prefix":
      return `${show(value)}/${prefix}`;
    case "cidr":
      return `${show(value)}/${prefix}`;
    case "size":
      return Number(host + 1n);
    case "version":
      return version;
    case "int":
      return Number(value);
    case "revdns":
      return version === 4
        ? `${show(value).split(".").reverse().join(".")}.in-addr.arpa.`
        : `${[...value.toString(16).padStart(32, "0")].reverse().join(".")}.ip6.arpa.`;
    case "private":
      return isPrivate(version, value) ? text : null;
    case "public":
      return isPrivate(version, value) ? null : text;
    case "first_usable":
      return show(prefix >= bits - 1 ? network : network + 1n);
    case "last_usable":
      return show(prefix >= bits - 1 ? network + host : network + host - (version === 4 ? 1n : 0n));
    default:
      return within(text, address, query, network, host);
  }
}

function within(
  text: string,
  { version, value, prefix }: Address,
  query: string,
  network: bigint,
  host: bigint,
): unknown {
  if (/^-?\d+$/.test(query)) {
    const index = BigInt(query);
    return `${write(version, index < 0n ? network + host + 1n + index : network + index)}/${prefix ?? bitsOf(version)}`;
  }
  const outer = parse(query);
  if (outer === null || outer.version !== version) return false;
  const shift = BigInt(bitsOf(version) - (outer.prefix ?? bitsOf(version)));
  return value >> shift === outer.value >> shift ? text : false;
}

function isPrivate(version: 4 | 6, value: bigint): boolean {
  const ranges =
    version === 4
      ? ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"]
      : ["fc00::/7", "fe80::/10", "::1/128"];
  return ranges.some((range) => within("yes", { version, value, prefix: null }, range, 0n, 0n) === "yes");
}

function query(version: 4 | 6 | null, value: unknown, question: unknown = ""): unknown {
  if (isList(value))
    return value.map((one) => query(version, one, question)).filter((one) => one !== false && one !== null);
  if (asNumber(value) !== undefined || value === null) return false;
  const text = str(value);
  const address = parse(text);
  if (address === null || (version !== null && address.version !== version)) return false;
  return answer(text, address, str(question));
}

const ofVersion = (version: 4 | 6 | null): Callable =>
  callable(["value", "query"], (value: unknown, question?: unknown) => query(version, value, question));

/** The commonest of the `ansible.utils` filters of IP addresses. */
export const ipFilters: Readonly<Record<string, Callable>> = {
  ipaddr: ofVersion(null),
  ipv4: ofVersion(4),
  ipv6: ofVersion(6),
  ipwrap: callable(["value"], (value: unknown) => {
    const wrap = (one: unknown): unknown =>
      typeof one === "string" && parse(one)?.version === 6 ? one.replace(/^[^/]*/, "[$&]") : one;
    return isList(value) ? value.map(wrap) : wrap(value);
  }),
};
