import { hostname } from "node:os";
import { performance } from "node:perf_hooks";
import { volleyVersion } from "../../bundle/this-package.ts";
import type { Outcome } from "../../core/events.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { WorkCounts, WorkerStatus } from "./worker-status.ts";

/** The present numbers of a worker, which the worker counts itself. */
export type WorkerGauges = Pick<WorkerStatus, "offered" | "inFlight" | "waiting" | "isStopping" | "runs">;

/** The options of {@link createMeter}. */
export interface MeterOptions extends Pick<WorkerStatus, "id" | "name" | "labels" | "concurrency"> {
  /** Called for every account and every sample of metrics. */
  readonly gauges: () => WorkerGauges;
  /** Default: none. See {@link createMetrics}. */
  readonly metrics?: WorkerMetrics;
  /** Time in ms that never goes back. Default: `performance.now`. */
  readonly now?: () => number;
}

/** Counts the work of a worker. */
export interface Meter extends WorkCounts {
  /** The queue's server was lost, or answers again. */
  queueAway(isAway: boolean): void;
  status(): WorkerStatus;
}

const FAILURES: ReadonlySet<Outcome> = new Set(["failed", "unreachable", "lost"]);
const MINUTE_S = 60;

/** Make the meter of a worker's process. */
export function createMeter({
  id,
  name,
  labels,
  concurrency,
  gauges,
  metrics,
  now = () => performance.now(),
}: MeterOptions): Meter {
  const startedAt = Date.now();
  const rate = createRate(now);
  const machine = hostname();
  const version = volleyVersion();
  let done = 0;
  let failed = 0;
  let handedBack = 0;
  let refused = 0;
  let isQueueAway = false;

  const status = (): WorkerStatus => ({
    ...{ id, name, labels, version, pid: process.pid, machine, startedAt, at: Date.now(), concurrency },
    ...{ done, failed, handedBack, refused, ratePerMinute: rate.perMinute(), isQueueAway },
    rssBytes: process.memoryUsage.rss(),
    ...gauges(),
  });
  metrics?.follow(status);
  return {
    taken: (label) => metrics?.taken(label),
    began: () => metrics?.began(),
    ended(outcome, elapsedMs) {
      done++;
      if (FAILURES.has(outcome)) failed++;
      rate.add();
      metrics?.ended(outcome, elapsedMs);
    },
    handedBack() {
      handedBack++;
      metrics?.handedBack();
    },
    refused(kind) {
      refused++;
      metrics?.refused(kind);
    },
    event: (count) => metrics?.event(count),
    queueAway(isAway) {
      isQueueAway = isAway;
    },
    status,
  };
}

/** Counts what happens within a minute, to the second: the memory does not grow with the number. */
function createRate(now: () => number): { add(): void; perMinute(): number } {
  const seconds = new Array<number>(MINUTE_S).fill(0);
  let last = Math.floor(now() / 1_000);
  const forget = (): void => {
    const second = Math.floor(now() / 1_000);
    for (let each = Math.max(last + 1, second - MINUTE_S + 1); each <= second; each++)
      seconds[each % MINUTE_S] = 0;
    last = second;
  };
  return {
    add() {
      forget();
      seconds[last % MINUTE_S]!++;
    },
    perMinute() {
      forget();
      return seconds.reduce((sum, each) => sum + each, 0);
    },
  };
}
