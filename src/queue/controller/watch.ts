import type { Redis } from "ioredis";
import type { Run } from "../../controller/run.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Event, Summary } from "../../core/events.ts";
import { EventQueue } from "../../system/event-queue.ts";
import { LogReader } from "../log.ts";
import { runsKey } from "../names.ts";
import { followStream, type StreamEntry } from "../streams.ts";
import { courseOf, type StoredRun } from "./reopen.ts";

/** Time between two looks whether the run still has a controller. */
const LOOK_MS = 2_000;

/** Return the run that was started last; undefined when there is none. */
export async function latestRun(redis: Redis, prefix: string): Promise<string | undefined> {
  const [run] = await redis.zrevrange(runsKey(prefix), 0, 0);
  return run;
}

/**
 * Watch a run that another process has, or that has ended. `cancel` ends the watching alone. Without an end of the run the
 * summary rejects: with `CANCELLED` for a watcher that has left, with `CONNECTION_LOST` when the controller is gone and
 * `endsWithController` is true, and with `QUEUE_REFUSED` when a part of the log is missing. `reading` serves nothing else.
 */
export function watch(stored: StoredRun, reading: Redis, endsWithController: boolean): Run {
  const { keys, seal, run } = stored;
  const queue = new EventQueue<Event>();
  const log = new LogReader(seal, run);
  const over = new AbortController();
  let end: Summary | undefined;
  let why = new VolleyError("CANCELLED", `run ${run} is no longer watched, and goes on`);
  const take = (entries: readonly StreamEntry[]): void => {
    for (const { bytes } of entries) {
      for (const event of log.open(bytes)?.events ?? []) {
        queue.push(event);
        if (event.type !== "run:end") continue;
        end = event.summary;
        over.abort();
      }
    }
  };
  const looking = setInterval(() => {
    if (!endsWithController) return;
    courseOf(stored).then(
      (course) => {
        if (course !== "left" || over.signal.aborted) return;
        why = new VolleyError("CONNECTION_LOST", `run ${run} has lost its controller`);
        over.abort();
      },
      // The server is away: its return is waited for.
      () => {},
    );
  }, LOOK_MS);
  const summary = followStream(reading, keys.log, { after: "0", signal: over.signal, take })
    .then(() => {
      if (end === undefined) throw why;
      return end;
    })
    .finally(() => {
      clearInterval(looking);
      queue.end();
    });
  summary.catch(() => {});
  return {
    summary,
    cancel: () => over.abort(),
    [Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
  };
}
