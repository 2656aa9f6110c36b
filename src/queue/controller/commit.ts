import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import type { RunKeys } from "../names.ts";

/** Seconds after the last batch of its controller that the server keeps a run which has not ended. */
const ABANDONED_SECONDS = 30 * 24 * 3_600;
/** Messages of the controller that are kept: a worker that was away for a while finds them. */
const KEPT_DOWN = 20_000;

/**
 * Write a controller's batch, all of it or nothing: the log, the messages to workers, and what was taken in is removed.
 * Nothing is written twice, and nothing by a controller that another one has replaced. All keys of the run get their time.
 */
const COMMIT = `
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then return 'gone' end
if owner ~= ARGV[1] then return 'replaced' end
redis.call('HSET', KEYS[1], 'beat', redis.call('TIME')[1], 'ended', '0')
local number = tonumber(redis.call('HGET', KEYS[1], 'number')) or 0
if number == tonumber(ARGV[2]) then return 'written' end
if number > tonumber(ARGV[2]) then return 'ahead' end
redis.call('HSET', KEYS[1], 'number', ARGV[2])
if ARGV[3] ~= '' then redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'm', ARGV[3]) end
if ARGV[4] ~= '' then redis.call('XTRIM', KEYS[4], 'MINID', ARGV[4]) end
for at = 7, #ARGV do redis.call('XADD', KEYS[2], '*', 'm', ARGV[at]) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[6]) end
return 'written'
`;

/** A controller's batch. */
interface Batch {
  readonly owner: string;
  readonly number: number;
  /** The sealed batches of the log. */
  readonly log: readonly Buffer[];
  /** The sealed message to workers, if any. */
  readonly down: Buffer | undefined;
  /** Remove the messages of workers before this id; undefined: none. */
  readonly taken: string | undefined;
}

/**
 * Write a batch. Returns `replaced` where another controller has the run, `gone` where the store has lost it, and `ahead`
 * where somebody else has raised the number of messages.
 */
export async function writeBatch(
  redis: Redis,
  keys: RunKeys,
  { owner, number, log, down, taken }: Batch,
): Promise<"written" | "replaced" | "gone" | "ahead"> {
  return (await redis.eval(
    COMMIT,
    7,
    ...[keys.control, keys.log, keys.down, keys.up, keys.record, keys.parts, keys.results],
    ...[owner, number, down ?? "", taken ?? "", KEPT_DOWN, ABANDONED_SECONDS, ...log],
  )) as "written" | "replaced" | "gone" | "ahead";
}

/** Return whether a command failed for a time: its connection went, or the server has no room for what is written. */
export function isTransient(thrown: unknown): boolean {
  return (
    thrown instanceof Error &&
    /connection|ECONN|closed|LOADING|EPIPE|\b(?:OOM|NOREPLICAS) /i.test(thrown.message)
  );
}

/** Make the name of a controller, for the store. */
export function makeOwner(): string {
  return randomBytes(16).toString("hex");
}
