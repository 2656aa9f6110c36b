import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { Redis, type RedisOptions } from "ioredis";
import { messageOf, VolleyError } from "../core/errors.ts";
import { type QueueAddress, readQueueUrl } from "./address.ts";
import { explain } from "./failures.ts";
import { lookFirst, readInfo } from "./first-look.ts";

/** The options of {@link openQueueServer}. */
export interface QueueServerOptions {
  /** See {@link readQueueUrl}. */
  readonly url: string;
  /** PEM file of the CA that has signed the server's certificate. Default: the CAs that Node knows. */
  readonly ca?: string;
  /** PEM files of this end's certificate and its key, for a server that wants one. */
  readonly cert?: string;
  readonly key?: string;
  /** Default: the environment's `VOLLEY_QUEUE_PASSWORD`, else none. A password in the URL goes before both. */
  readonly password?: string;
  /** Time without an answer after which connections are given up and made anew, in ms. Default: 15,000. */
  readonly silentMs?: number;
}

/** The state of the server, as {@link QueueConnections} sees it. */
export interface Away {
  /** When the server was last lost, in ms since 1970; undefined while it answers. */
  readonly since: number | undefined;
  /** The reason, for people; undefined while the server answers. */
  readonly reason: string | undefined;
}

/** The connections of this process to one server. */
export interface QueueConnections {
  /** The URL without its password. */
  readonly shown: string;
  /** The beginning of the names of all keys, before a colon. */
  readonly prefix: string;
  /** Whether the server has been lost. */
  readonly away: Away;
  /**
   * Open a connection, for BullMQ as well. The connection is made again for ever: commands wait for the server, and are sent again
   * when it was lost before its answer, so that the server may carry out a command twice. The answers that refuse all
   * writes for a time (`READONLY`, `LOADING`, `MISCONF`, `UNBLOCKED`) count as a lost server; other refusals reject.
   * @param purpose shown in the server's list of clients
   */
  open(purpose: string): Redis;
  /** Call `tell` whenever the server is lost. Returns a function that ends this. */
  onAway(tell: (reason: string) => void): () => void;
  /** Call `tell` whenever a lost server answers again. Returns a function that ends this. */
  onBack(tell: (awayMs: number) => void): () => void;
  /** Return what a connection has thrown as an error with advice. */
  explain(thrown: unknown): VolleyError;
  /** Close all connections. Commands without an answer are rejected. */
  close(): Promise<void>;
}

const BEAT_MS = 5_000;
const SILENT_MS = 15_000;
const FIRST_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;
const CONNECT_MS = 10_000;
const KEEP_ALIVE_MS = 15_000;

/** Answers of a server that takes no writes now, but will. `UNBLOCKED`: the server has become a replica during a wait. */
const FOR_A_TIME = /^(?:READONLY|LOADING|MISCONF|MASTERDOWN|UNBLOCKED)\b/;

/**
 * Connect to a queue's server. Fails with `USAGE` for a wrong URL, with `QUEUE_FAILED` within 10 s when the server cannot
 * be used, and with `CANCELLED`. Once this has succeeded, the loss of the server is no error.
 */
export async function openQueueServer(
  options: QueueServerOptions,
  signal: AbortSignal,
): Promise<QueueConnections> {
  const address = readQueueUrl(options.url);
  const password = address.password ?? options.password ?? process.env.VOLLEY_QUEUE_PASSWORD;
  const given = password === "" ? undefined : password;
  const tls = readTls(address, options);
  const base: RedisOptions = {
    ...address.at,
    ...(tls === undefined ? {} : { tls }),
    db: address.db,
    ...(address.user === undefined ? {} : { username: address.user, password: given ?? "" }),
    ...(address.user === undefined && given !== undefined ? { password: given } : {}),
    connectTimeout: CONNECT_MS,
    // A connection that waits for news, and that a firewall has forgotten, is found out by the system.
    keepAlive: KEEP_ALIVE_MS,
    maxRetriesPerRequest: null,
    retryStrategy: delayOf,
    reconnectOnError: ({ message }) => (FOR_A_TIME.test(message) ? 2 : false),
  };
  const { mayAskInfo, wantsPassword } = await lookFirst(address, base, signal);
  const { username: _username, password: _password, ...anonymous } = base;
  const settled: RedisOptions & { readonly skipVersionCheck: true } = {
    ...(wantsPassword ? base : anonymous),
    enableReadyCheck: mayAskInfo,
    // Otherwise BullMQ asks for the version again, and prints warnings.
    skipVersionCheck: true,
  };
  return new Connections(address, settled, options.silentMs ?? SILENT_MS);
}

/**
 * Return warnings, for people, about a server that works, but may lose what it keeps. Empty when the ACL forbids `INFO`.
 */
export async function lookAtServer(redis: Redis): Promise<readonly string[]> {
  let info: ReadonlyMap<string, string>;
  try {
    info = readInfo(await redis.info());
  } catch {
    return [];
  }
  const warnings: string[] = [];
  if (info.get("aof_enabled") === "0")
    warnings.push("the queue's server forgets the latest work when it restarts: set appendonly yes");
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy !== "noeviction")
    warnings.push(
      `the queue's server drops keys when its memory is full (${policy}): set maxmemory-policy noeviction`,
    );
  return warnings;
}

function delayOf(times: number): number {
  const delay = Math.min(FIRST_DELAY_MS * 2 ** Math.min(times, 10), MAX_DELAY_MS);
  // Workers do not come back all at the same moment.
  return Math.round(delay * (0.5 + Math.random() / 2));
}

function readTls(
  address: QueueAddress,
  { ca, cert, key }: QueueServerOptions,
): ConnectionOptions | undefined {
  if (!address.tls) {
    if (ca === undefined && cert === undefined && key === undefined) return undefined;
    throw new VolleyError("USAGE", `${address.shown} has no TLS, but files for TLS are given`, {
      hint: "write rediss:// instead of redis://",
    });
  }
  if ((cert === undefined) !== (key === undefined))
    throw new VolleyError("USAGE", "a certificate for the queue needs its key, and a key its certificate", {
      hint: "name both files",
    });
  return {
    ...(ca === undefined ? {} : { ca: readPem(ca) }),
    ...(cert === undefined ? {} : { cert: readPem(cert) }),
    ...(key === undefined ? {} : { key: readPem(key) }),
  };
}

function readPem(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    throw new VolleyError("FILE_FAILED", messageOf(thrown), {
      hint: "name a readable PEM file",
      cause: thrown,
    });
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new VolleyError("FILE_FAILED", `${path} is no PEM file`, {
    hint: 'a PEM file begins with "-----BEGIN"',
  });
}

async function end(redis: Redis): Promise<void> {
  if (redis.status === "end") return;
  const ended = new Promise<void>((resolve) => redis.once("end", resolve));
  // Between two attempts to connect, ioredis would neither end nor reject commands: it ends during an attempt.
  if (redis.status === "reconnecting") redis.connect().catch(() => {});
  redis.disconnect();
  await ended;
}

class Connections implements QueueConnections {
  readonly #address: QueueAddress;
  readonly #options: RedisOptions;
  readonly #open = new Set<Redis>();
  readonly #onAway = new Set<(reason: string) => void>();
  readonly #onBack = new Set<(awayMs: number) => void>();
  readonly #watch: Redis;
  readonly #silentMs: number;
  #away: Away = { since: undefined, reason: undefined };
  #beat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(address: QueueAddress, options: RedisOptions, silentMs: number) {
    this.#address = address;
    this.#options = options;
    this.#silentMs = silentMs;
    this.#watch = this.#connect("watch", { reconnectOnError: null });
    this.#watch.on("error", (error) => this.#lost(messageOf(this.explain(error))));
    this.#watch.on("close", () => this.#lost("the connection has ended"));
    this.#watch.on("ready", () => this.#ask());
  }

  get shown(): string {
    return this.#address.shown;
  }

  get prefix(): string {
    return this.#address.prefix;
  }

  get away(): Away {
    return this.#away;
  }

  open(purpose: string): Redis {
    return this.#connect(purpose, {});
  }

  onAway(tell: (reason: string) => void): () => void {
    this.#onAway.add(tell);
    return () => void this.#onAway.delete(tell);
  }

  onBack(tell: (awayMs: number) => void): () => void {
    this.#onBack.add(tell);
    return () => void this.#onBack.delete(tell);
  }

  explain(thrown: unknown): VolleyError {
    return explain(thrown, this.#address);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#beat);
    await Promise.all([...this.#open].map(end));
  }

  #connect(purpose: string, options: RedisOptions): Redis {
    if (this.#closed) throw new VolleyError("CANCELLED", `the connections to ${this.shown} are closed`);
    const redis = new Redis({ ...this.#options, ...options, connectionName: nameOf(purpose) });
    this.#open.add(redis);
    redis.on("end", () => this.#open.delete(redis));
    // Each command that a server refuses for a time adds listeners.
    redis.on("connect", () => redis.stream.setMaxListeners(0));
    // Without a listener, ioredis prints the error; the watch tells of a lost server.
    redis.on("error", () => {});
    return redis;
  }

  /**
   * Ask whether the server takes writes, by one that changes nothing, and again after a time. A server whose memory is full
   * refuses this one as it refuses all that need more.
   */
  #ask(): void {
    if (this.#closed) return;
    clearTimeout(this.#beat);
    const epoch = this.#watch.stream;
    this.#beat = setTimeout(() => this.#silent(), this.#silentMs);
    this.#watch.setrange(`${this.prefix}:check:none`, 0, "").then(
      () => {
        if (epoch !== this.#watch.stream) return;
        this.#answered();
        this.#askLater();
      },
      (thrown) => {
        if (epoch !== this.#watch.stream) return;
        this.#lost(messageOf(this.explain(thrown)));
        this.#askLater();
      },
    );
  }

  #askLater(): void {
    if (this.#closed) return;
    clearTimeout(this.#beat);
    this.#beat = setTimeout(() => this.#ask(), Math.min(BEAT_MS, this.#silentMs));
  }

  /** A network that is gone ends no connection: all are given up, and what was not answered is sent over new ones. */
  #silent(): void {
    this.#lost(`it has not answered for ${this.#silentMs / 1_000} s`);
    for (const redis of this.#open)
      if (redis.status === "ready" || redis.status === "connect") redis.stream.destroy();
    this.#beat = setTimeout(() => this.#silent(), this.#silentMs);
  }

  #lost(reason: string): void {
    if (this.#closed || this.#away.since !== undefined) return;
    this.#away = { since: Date.now(), reason };
    for (const tell of this.#onAway) tell(reason);
  }

  #answered(): void {
    const { since } = this.#away;
    if (since === undefined) return;
    this.#away = { since: undefined, reason: undefined };
    for (const tell of this.#onBack) tell(Date.now() - since);
  }
}

/** The name of a connection in the server's list of clients, which takes no spaces. */
function nameOf(purpose: string): string {
  return `volley-${purpose}`.replace(/[^\w.:-]+/g, "-");
}
