import type { Redis } from "ioredis";

/** An entry of a stream: its id, and the bytes of its one field. */
export interface StreamEntry {
  readonly id: string;
  readonly bytes: Buffer;
}

/** The name of the one field of every entry. */
export const FIELD = "m";

/** Options of following a stream. */
interface FollowOptions {
  /** The id of the last entry that is known. */
  readonly after: string;
  readonly signal: AbortSignal;
  /** Take entries; the next ones come once the promise, if any, has resolved. */
  take(entries: readonly StreamEntry[]): Promise<void> | void;
}

const BLOCK_MS = 5_000;
const AT_A_TIME = 64;

type RawEntry = readonly [id: Buffer, fields: readonly Buffer[]];

/**
 * Pass the entries of a stream on, from the one after an id, until the signal aborts. `redis` serves nothing else. Where the
 * server is away, its return is waited for.
 */
export async function followStream(
  redis: Redis,
  key: string,
  { after, signal, take }: FollowOptions,
): Promise<void> {
  let last = after;
  const onAbort = (): void => redis.disconnect();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!signal.aborted) {
      const entries = await readStream(redis, key, last, BLOCK_MS).catch((thrown: unknown) => {
        if (signal.aborted) return [];
        throw thrown;
      });
      if (entries.length === 0 || signal.aborted) continue;
      last = entries.at(-1)!.id;
      await take(entries);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Read some entries after an id; `blockMs`: wait for the next one. */
async function readStream(
  redis: Redis,
  key: string,
  after: string,
  blockMs: number,
): Promise<readonly StreamEntry[]> {
  const found = (await redis.xreadBuffer("COUNT", AT_A_TIME, "BLOCK", blockMs, "STREAMS", key, after)) as
    | readonly (readonly [Buffer, readonly RawEntry[]])[]
    | null;
  return (found?.[0]?.[1] ?? []).map(asEntry);
}

/** Yield all entries of a stream, from the first, in pieces. */
export async function* readWhole(redis: Redis, key: string): AsyncGenerator<readonly StreamEntry[]> {
  for (let from = "-"; ; ) {
    const found = (await redis.xrangeBuffer(key, from, "+", "COUNT", AT_A_TIME)) as readonly RawEntry[];
    if (found.length === 0) return;
    const entries = found.map(asEntry);
    yield entries;
    from = `(${entries.at(-1)!.id}`;
  }
}

/** Yield the last entries of a stream, from the last on: `most` at most. */
export async function* readBackwards(redis: Redis, key: string, most: number): AsyncGenerator<StreamEntry> {
  for (let from = "+", count = 0; count < most; count++) {
    const [found] = (await redis.xrevrangeBuffer(key, from, "-", "COUNT", 1)) as readonly RawEntry[];
    if (found === undefined) return;
    const entry = asEntry(found);
    yield entry;
    from = `(${entry.id}`;
  }
}

/** Return the id of the last entry; `0` for an empty stream. */
export async function lastId(redis: Redis, key: string): Promise<string> {
  const [last] = (await redis.xrevrange(key, "+", "-", "COUNT", 1)) as readonly (readonly [
    string,
    unknown,
  ])[];
  return last?.[0] ?? "0";
}

function asEntry([id, fields]: RawEntry): StreamEntry {
  return { id: id.toString("latin1"), bytes: fields[1] ?? Buffer.alloc(0) };
}

/** Return the id that follows an id. */
export function nextId(id: string): string {
  const [time = "0", sequence = "0"] = id.split("-");
  return `${time}-${BigInt(sequence) + 1n}`;
}
