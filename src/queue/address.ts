import { VolleyError } from "../core/errors.ts";
import { HIDDEN } from "../core/shown-url.ts";

/** The place of a queue's server, as its URL gives it. */
export interface QueueAddress {
  /** The URL without its password, for messages. */
  readonly shown: string;
  /** A host, or the path of a Unix socket. */
  readonly at: { readonly host: string; readonly port: number } | { readonly path: string };
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** The number of the database. Default: 0. */
  readonly db: number;
  /** The beginning of the names of all keys, before a colon. Default: `volley`. */
  readonly prefix: string;
}

const DEFAULT_PORT = 6379;
const DEFAULT_PREFIX = "volley";

const FORMS = "write redis://HOST, rediss://HOST for TLS, or redis+unix:///PATH of a socket";
/** Names that no pattern of an ACL takes for something else, and no cluster for a slot. */
const PREFIX = /^[\w.-]+(:[\w.-]+)*$/;

/**
 * Read the URL of a queue: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB][?prefix=NAME]`, `rediss://` for TLS, and
 * `redis+unix:///PATH` or `unix:///PATH`, where the database is `?db=DB` and the user `?user=USER`. Fails with `USAGE`, without the password.
 */
export function readQueueUrl(text: string): QueueAddress {
  if (!URL.canParse(text)) throw usage(`${quoted(hideUser(text))} is no URL of a queue`, FORMS);
  const url = new URL(text);
  const name = quoted(hideUser(text));
  if (`${url.pathname}${url.search}${url.hash}`.includes("@"))
    throw usage(
      `${name} has an @ after the host`,
      "in a password write %2F for /, %3F for ?, %23 for # and %40 for @",
    );
  switch (url.protocol) {
    case "redis:":
    case "rediss:":
      return ofHost(url, name);
    case "redis+unix:":
    case "unix:":
      return ofSocket(url, name);
    default:
      throw usage(`${quoted(`${url.protocol}//`)} is no kind of queue`, FORMS);
  }
}

function ofHost(url: URL, name: string): QueueAddress {
  const { prefix } = readParameters(url, ["prefix"]);
  const host = decoded(url.hostname.replace(/^\[(.*)\]$/, "$1"), name);
  if (host === "") throw usage(`${name} names no host`, FORMS);
  const path = url.pathname.replace(/^\//, "");
  const user = emptyAsNone(decoded(url.username, name));
  const db = readDatabase(path, name);
  const port = url.port === "" ? DEFAULT_PORT : Number(url.port);
  const shownUser = user === undefined ? "" : `${url.username}@`;
  const shown = `${url.protocol}//${shownUser}${url.hostname}:${port}${db === 0 ? "" : `/${db}`}`;
  return {
    shown: withParameters(shown, { prefix }),
    at: { host, port },
    tls: url.protocol === "rediss:",
    user,
    password: emptyAsNone(decoded(url.password, name)),
    db,
    prefix,
  };
}

function ofSocket(url: URL, name: string): QueueAddress {
  const { prefix, db: dbText, user } = readParameters(url, ["prefix", "db", "user"]);
  const path = decoded(url.pathname, name);
  if (url.hostname !== "" || !path.startsWith("/") || path === "/")
    throw usage(`${name} names no socket`, "write redis+unix:///run/redis/redis.sock, with three slashes");
  const db = readDatabase(dbText, name);
  return {
    shown: withParameters(`redis+unix://${url.pathname}`, { prefix, user }),
    at: { path },
    tls: false,
    user,
    password: undefined,
    db,
    prefix,
  };
}

function readParameters(
  url: URL,
  known: readonly string[],
): { readonly prefix: string; readonly db: string; readonly user: string | undefined } {
  for (const key of url.searchParams.keys())
    if (!known.includes(key))
      throw usage(`a queue's URL has no ${quoted(`?${key}=`)}`, `it may have: ${known.join(", ")}`);
  const prefix = url.searchParams.get("prefix") ?? DEFAULT_PREFIX;
  if (!PREFIX.test(prefix))
    throw usage(
      `${quoted(prefix)} cannot be the prefix of a queue's keys`,
      "use letters, digits, _, . and -, in words between colons",
    );
  return {
    prefix,
    db: url.searchParams.get("db") ?? "",
    user: emptyAsNone(url.searchParams.get("user") ?? ""),
  };
}

function readDatabase(text: string, name: string): number {
  if (/^\d{0,9}$/.test(text)) return Number(text);
  throw usage(`${quoted(text)} is no number of a database, in ${name}`, "most servers have 0 to 15");
}

function withParameters(
  shown: string,
  { prefix, user }: { readonly prefix: string; readonly user?: string | undefined },
): string {
  const parameters = new URLSearchParams({
    ...(user === undefined ? {} : { user }),
    ...(prefix === DEFAULT_PREFIX ? {} : { prefix }),
  });
  // A prefix may have colons, which need no code there.
  return parameters.size === 0 ? shown : `${shown}?${parameters.toString().replaceAll("%3A", ":")}`;
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw usage(`${name} has a % that no code follows`, "write %25 for a percent sign");
  }
}

function emptyAsNone(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** Hides all that may be a password, also in a text that is no URL. */
function hideUser(text: string): string {
  return text.replace(/^([^/]*\/\/|[^:@]*:)?.*@/s, (_, start: string = "") => `${start}${HIDDEN}@`);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function usage(message: string, hint: string): VolleyError {
  return new VolleyError("USAGE", message, { hint });
}
