import { randomUUID } from "node:crypto";
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { Redis, type RedisOptions } from "ioredis";
import { printable, VolleyError } from "../core/errors.ts";
import type { QueueAddress } from "./address.ts";
import { explain, inCluster, OLDEST_REDIS, queueFailed, speaksPlain, speaksTls } from "./failures.ts";

/** Limit for the first connection. */
const FIRST_LIMIT_MS = 10_000;
/** A server without TLS takes the handshake for the beginning of a line, and waits for the rest: it is asked in clear then. */
const HANDSHAKE_MS = 2_000;
const LOADING_PAUSE_MS = 100;

/** The findings of {@link lookFirst}. */
export interface FirstLook {
  /** False when the ACL forbids `INFO`. */
  readonly mayAskInfo: boolean;
  /** False when the server has no password, and would warn of one. */
  readonly wantsPassword: boolean;
}

/**
 * Connect once, and try all that a queue needs: the network, TLS, the password, the version, the kind of server, and
 * writing. Fails within 10 s with one `QUEUE_FAILED` that names the reason, or with `CANCELLED`.
 */
export async function lookFirst(
  address: QueueAddress,
  options: RedisOptions,
  signal: AbortSignal,
): Promise<FirstLook> {
  const limit = AbortSignal.timeout(FIRST_LIMIT_MS);
  const ended = AbortSignal.any([signal, limit]);
  try {
    await greet(address, options.tls, ended);
    return await tryAll(address, options, ended);
  } catch (thrown) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "connecting to the queue was cancelled");
    if (limit.aborted && thrown === limit.reason)
      throw queueFailed(
        address,
        "it has not answered for 10 s",
        "check the network, firewalls, and the server",
      );
    throw explain(thrown, address);
  }
}

/** Check that a server of Redis is at the other end, and that both ends speak TLS, or neither. Fails with `QUEUE_FAILED`. */
async function greet(
  address: QueueAddress,
  tls: ConnectionOptions | undefined,
  signal: AbortSignal,
): Promise<void> {
  const answer = tls === undefined ? await askPlain(address, signal) : await askByTls(address, tls, signal);
  if (/^\+PONG|^-(?:NOAUTH|NOPERM|LOADING|MASTERDOWN|MISCONF)/.test(answer)) return;
  if (answer.startsWith("-")) throw new Error(answer.slice(1));
  if (answer === "")
    throw queueFailed(address, "it ends the connection without an answer", "see the server's log");
  throw queueFailed(
    address,
    `it is no Redis server: its answer is ${JSON.stringify(printable(answer, 60))}`,
    "give the host and the port of Redis or Valkey",
  );
}

async function askPlain(address: QueueAddress, signal: AbortSignal): Promise<string> {
  const answer = await ask(createConnection(address.at), signal).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === "ECONNRESET" || thrown.code === "EPIPE") return "";
    throw thrown;
  });
  const isAlert = answer.startsWith("\x15\x03");
  if (answer !== "" && !isAlert) return answer;
  // The server has ended the connection, as one for TLS does.
  const byTls = await ask(connectTls({ ...address.at, rejectUnauthorized: false }), signal).catch(
    (thrown: NodeJS.ErrnoException) => (/ALERT/.test(thrown.code ?? "") ? "-" : ""),
  );
  if (isAlert || byTls !== "") throw queueFailed(address, ...speaksTls);
  return answer;
}

async function askByTls(address: QueueAddress, tls: ConnectionOptions, signal: AbortSignal): Promise<string> {
  const asked = ask(connectTls({ ...address.at, ...tls }), signal);
  const late = sleep(HANDSHAKE_MS, "late" as const, { signal, ref: false });
  const soon = Promise.race([asked, late]).catch((thrown: NodeJS.ErrnoException) => {
    if (/CERT|ALERT|ECONNREFUSED|ENOTFOUND/.test(thrown.code ?? "") || signal.aborted) throw thrown;
    return "late" as const;
  });
  late.catch(() => {});
  const first = await soon;
  if (first !== "late") return first;
  const isPlain = ask(createConnection(address.at), signal).then(
    (answer) => /^[+-][A-Z]/.test(answer),
    () => false,
  );
  // A server of TLS that is slow answers after all.
  const answered = asked.then(
    () => false,
    () => isPlain,
  );
  if (await Promise.race([isPlain, answered])) throw queueFailed(address, ...speaksPlain);
  return await asked;
}

/** Return the first bytes that a server answers to `PING`; empty when it ends the connection first. */
function ask(socket: Socket, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const abort = (): void => end(() => reject(signal.reason));
    const end = (settle: () => void): void => {
      signal.removeEventListener("abort", abort);
      socket.destroy();
      settle();
    };
    signal.addEventListener("abort", abort);
    socket.once("data", (data) => end(() => resolve(data.toString("latin1").trim())));
    socket.on("error", (error) => end(() => reject(error)));
    socket.once("close", () => end(() => resolve("")));
    socket.write("PING\r\n");
    if (signal.aborted) abort();
  });
}

async function tryAll(
  address: QueueAddress,
  { username, password, db = 0, ...options }: RedisOptions,
  signal: AbortSignal,
): Promise<FirstLook> {
  const redis = new Redis({
    ...options,
    lazyConnect: true,
    enableReadyCheck: false,
    // Before the password it would be refused.
    disableClientInfo: true,
    connectionName: undefined,
    retryStrategy: null,
    reconnectOnError: null,
  });
  let fault: unknown;
  redis.on("error", (error) => {
    fault = error;
  });
  const abort = (): void => redis.disconnect();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const wantsPassword = await logIn(redis, username, password);
    if (db !== 0) await redis.select(db);
    const info = await askInfo(redis);
    if (info !== undefined) judge(address, info);
    await tryWriting(redis, address, signal);
    return { mayAskInfo: info !== undefined, wantsPassword };
  } catch (thrown) {
    signal.throwIfAborted();
    throw /Connection is closed/.test(`${thrown}`) && fault !== undefined ? fault : thrown;
  } finally {
    signal.removeEventListener("abort", abort);
    redis.disconnect();
  }
}

/** Log in. Returns false when the server has no password. */
async function logIn(
  redis: Redis,
  user: string | null | undefined,
  password: string | null | undefined,
): Promise<boolean> {
  if (password == null) return false;
  try {
    await (user == null ? redis.auth(password) : redis.auth(user, password));
    return true;
  } catch (thrown) {
    if (/without any password configured|no password is set/.test(`${thrown}`)) return false;
    throw thrown;
  }
}

/** Return the answer to `INFO`; undefined when the ACL forbids it. */
async function askInfo(redis: Redis): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    return readInfo(await redis.info());
  } catch (thrown) {
    if (/NOPERM/.test(`${thrown}`)) return undefined;
    throw thrown;
  }
}

/** Read the answer to `INFO`: lines `name:value`, and comments. */
export function readInfo(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const colon = line.indexOf(":");
      return line.startsWith("#") || colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
}

function judge(address: QueueAddress, info: ReadonlyMap<string, string>): void {
  const mode = info.get("redis_mode") ?? info.get("server_mode");
  if (mode === "cluster" || info.get("cluster_enabled") === "1") throw queueFailed(address, ...inCluster);
  if (mode === "sentinel")
    throw queueFailed(address, "it is a sentinel, which keeps no data", "name the master that it watches");
  const version = info.get("redis_version");
  if (version !== undefined && isOlder(version, OLDEST_REDIS))
    throw queueFailed(
      address,
      `its version is ${printable(version)}, which lacks commands`,
      `use Redis ${OLDEST_REDIS.replace(/\.0$/, "")} or later, or Valkey`,
    );
}

function isOlder(version: string, than: string): boolean {
  const [one, other] = [version, than].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (let at = 0; at < other.length; at++) {
    const difference = (one[at] ?? 0) - other[at]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Try commands of each kind that runs use, on keys that are removed again. */
async function tryWriting(redis: Redis, address: QueueAddress, signal: AbortSignal): Promise<void> {
  const [key, other] = [randomUUID(), randomUUID()].map((id) => `${address.prefix}:check:${id}`) as [
    string,
    string,
  ];
  const commands: readonly (readonly [string, ...string[]])[] = [
    ["xadd", key, "*", "check", "1"],
    ["pexpire", key, "60000"],
    ["xread", "COUNT", "1", "STREAMS", key, "0"],
    ["xrange", key, "-", "+", "COUNT", "1"],
    // Two keys of one script are on two servers of a cluster.
    ["eval", "return redis.call('exists', KEYS[1], KEYS[2])", "2", key, other],
    ["del", key],
  ];
  for (;;) {
    const answers = await Promise.allSettled(commands.map(([name, ...rest]) => redis.call(name, ...rest)));
    const refused = answers.find((answer) => answer.status === "rejected");
    if (refused === undefined) return;
    if (!/^LOADING/.test(refused.reason?.message)) throw refused.reason;
    await sleep(LOADING_PAUSE_MS, undefined, { signal });
  }
}
