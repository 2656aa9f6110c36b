import type { Redis } from "ioredis";
import { messageOf, printable, VolleyError } from "../../core/errors.ts";
import { MAX_FILE_BYTES, type Place } from "./place.ts";

const KEPT_SECONDS = 7 * 24 * 3_600;
/** Commands wait for a server that is away; a large bundle takes its time on a slow line. */
const LIMIT_MS = 5 * 60_000;

/** Keep bundles in the queue's own server: `PREFIX:bundle:NAME`, until 7 days after the last use. */
export function redisPlace(redis: Redis, prefix: string): Place {
  const keyOf = (name: string): string => `${prefix}:bundle:${name}`;
  return {
    shown: "the queue's server",
    hintIfMissing: `bundles stay there for ${KEPT_SECONDS / 86_400} days after the last run that used them: start the run again`,
    has: async (name) => (await ask(redis.expire(keyOf(name), KEPT_SECONDS))) === 1,
    put: async (name, bytes) => {
      await ask(redis.set(keyOf(name), Buffer.from(bytes), "EX", KEPT_SECONDS));
    },
    get: async (name) => {
      // Bounded, whatever somebody has written there: a file that is cut off is refused.
      const bytes = await ask(redis.getrangeBuffer(keyOf(name), 0, MAX_FILE_BYTES));
      return bytes.length === 0 ? undefined : bytes;
    },
  };
}

async function ask<T>(command: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LIMIT_MS / 60_000} minutes`)), LIMIT_MS);
  });
  try {
    return await Promise.race([command, limit]);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new VolleyError(
      "QUEUE_FAILED",
      `bundles cannot be exchanged by the queue's server: ${printable(reason, 300)}`,
      {
        cause,
        ...(reason.startsWith("OOM ")
          ? { hint: "its memory is full: raise maxmemory, or keep bundles in another store" }
          : {}),
      },
    );
  } finally {
    clearTimeout(timer);
  }
}
