import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Seal } from "../seal.ts";
import type { WorkerStatus } from "./worker-status.ts";

// The workers of a queue: each writes a sealed account of itself that Redis forgets, unless it is written again.

/** The access to a queue's server that the registry needs. */
export interface RegistryOptions {
  readonly redis: Redis;
  /** The prefix of all keys, without its colon. */
  readonly prefix: string;
  readonly seal: Seal;
}

/** The options of {@link announce}. */
export interface AnnounceOptions extends RegistryOptions {
  readonly status: () => WorkerStatus;
  /** Time from one account to the next. Default: 2,000. */
  readonly everyMs?: number;
  /** Called when the server refuses an account, once for each message. A server that is away is waited for. */
  readonly onRefused?: (thrown: unknown) => void;
}

/** A worker that is announced. */
export interface Announcement {
  /** Write the account now. */
  renew(): void;
  /** Take the worker out of the registry. Takes at most a second where the server is away: it forgets the worker itself. */
  close(): Promise<void>;
}

const EVERY_MS = 2_000;
const KEPT_MS = 10_000;
const CLOSING_MS = 1_000;
/** An account of another time is a replayed one. Clocks of machines differ, but by less. */
const MAX_CLOCK_DIFFERENCE_MS = 600_000;
const MAX_WORKERS = 10_000;
const AT_A_TIME = 200;

// The server's own clock counts: another worker's may be wrong, and would remove this one.
const WRITE = `
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
redis.call("ZADD", KEYS[2], now, ARGV[1])
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", now - ARGV[3])`;
const REMOVE = `
redis.call("DEL", KEYS[1])
redis.call("ZREM", KEYS[2], ARGV[1])`;

/** Announce a worker until it is closed: at once, and then again and again. */
export function announce(options: AnnounceOptions): Announcement {
  const { redis, prefix, seal, status, everyMs = EVERY_MS, onRefused } = options;
  const { id } = status();
  const keys = [workerKey(prefix, id), workersKey(prefix)] as const;
  const told = new Set<string>();
  let isWriting = false;
  let isWanted = false;
  let isClosed = false;

  const write = async (): Promise<void> => {
    // A server that is away gets one account on its return, and not all that were due.
    isWanted = isWriting;
    if (isWriting || isClosed) return;
    isWriting = true;
    try {
      const sealed = seal.seal(purposeOf(id), Buffer.from(JSON.stringify(status())));
      await redis.eval(WRITE, keys.length, ...keys, id, sealed, KEPT_MS);
    } catch (thrown) {
      const text = String(thrown);
      if (!isClosed && !told.has(text)) {
        told.add(text);
        onRefused?.(thrown);
      }
    }
    isWriting = false;
    if (isWanted) void write();
  };
  const renew = (): void => void write();
  const timer = setInterval(renew, everyMs).unref();
  renew();
  return {
    renew,
    async close() {
      isClosed = true;
      clearInterval(timer);
      const limit = new AbortController();
      const removed = redis.eval(REMOVE, keys.length, ...keys, id).catch(() => {});
      await Promise.race([removed, sleep(CLOSING_MS, undefined, { signal: limit.signal }).catch(() => {})]);
      limit.abort();
    },
  };
}

/** The workers that are announced now. */
export interface WorkerList {
  /** By name. */
  readonly workers: readonly WorkerStatus[];
  /** Accounts that were not written by a worker with the queue key, or not lately. */
  readonly refused: number;
}

/** List the workers of a queue. */
export async function listWorkers({ redis, prefix, seal }: RegistryOptions): Promise<WorkerList> {
  const ids = await redis.zrange(workersKey(prefix), 0, MAX_WORKERS - 1);
  const workers: WorkerStatus[] = [];
  let refused = 0;
  for (let from = 0; from < ids.length; from += AT_A_TIME) {
    const some = ids.slice(from, from + AT_A_TIME);
    const accounts = await redis.mgetBuffer(some.map((id) => workerKey(prefix, id)));
    for (const [index, sealed] of accounts.entries()) {
      // Redis has forgotten a worker that was killed.
      if (sealed === null) continue;
      const status = openStatus(seal, some[index]!, sealed);
      if (status === undefined) refused++;
      else workers.push(status);
    }
  }
  return { workers: workers.sort(byName), refused };
}

function openStatus(seal: Seal, id: string, sealed: Uint8Array): WorkerStatus | undefined {
  try {
    const status = JSON.parse(seal.open(purposeOf(id), sealed).toString("utf8")) as WorkerStatus;
    return Math.abs(Date.now() - status.at) > MAX_CLOCK_DIFFERENCE_MS ? undefined : status;
  } catch {
    return undefined;
  }
}

function byName(one: WorkerStatus, other: WorkerStatus): number {
  return one.name.localeCompare(other.name, "en", { numeric: true }) || (one.id < other.id ? -1 : 1);
}

function workersKey(prefix: string): string {
  return `${prefix}:workers`;
}

function workerKey(prefix: string, id: string): string {
  return `${prefix}:worker:${id}`;
}

function purposeOf(id: string): string {
  return `worker ${id}`;
}
