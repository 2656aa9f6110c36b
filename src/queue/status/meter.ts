import { hostname } from "node:os";
import { performance } from "node:perf_hooks";
import { volleyVersion } from "../../bundle/this-package.ts";
import type { Outcome } from "../../core/events.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { WorkCounts, WorkerStatus } from "./worker-status.ts";

/** A host that a worker has, as its meter sees it. */
export interface HeldHost {
  readonly run: string;
  /** True once the controller has granted the host. */
  readonly isGranted: boolean;
  /** True while the host waits at a barrier. */
  readonly isWaiting: boolean;
}

/** The present state of a worker. */
export interface WorkerState {
  /** The hosts that the worker has. */
  readonly hosts: Iterable<HeldHost>;
  /** True once the worker takes no more hosts. */
  readonly isStopping: boolean;
}

/** The options of {@link createMeter}. */
export interface MeterOptions extends Pick<WorkerStatus, "id" | "name" | "labels" | "concurrency"> {
  /** Called for every account and every sample of metrics, not before. */
  readonly state: () => WorkerState;
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
  state,
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

  const status = (): WorkerStatus => {
    const { hosts, isStopping } = state();
    return {
      ...{ id, name, labels, version, pid: process.pid, machine, startedAt, at: Date.now(), concurrency },
      ...countHosts(hosts),
      ...{ done, failed, handedBack, refused, ratePerMinute: rate.perMinute() },
      rssBytes: process.memoryUsage.rss(),
      ...{ isStopping, isQueueAway },
    };
  };
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

function countHosts(
  hosts: Iterable<HeldHost>,
): Pick<WorkerStatus, "offered" | "inFlight" | "waiting" | "runs"> {
  let offered = 0;
  let inFlight = 0;
  let waiting = 0;
  const byRun = new Map<string, number>();
  for (const { run, isGranted, isWaiting } of hosts) {
    if (!isGranted) {
      offered++;
      continue;
    }
    inFlight++;
    if (isWaiting) waiting++;
    byRun.set(run, (byRun.get(run) ?? 0) + 1);
  }
  return { offered, inFlight, waiting, runs: [...byRun].map(([run, count]) => ({ run, hosts: count })) };
}

/** Counts calls of `add` within the last minute, to the second: the memory does not grow with their number. */
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
