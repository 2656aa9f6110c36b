import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { QueueConnections } from "../connect.ts";
import { COURSE_FIELDS, courseAt } from "../course.ts";
import { queueName, runKeys, runsKey } from "../names.ts";
import type { Seal } from "../seal.ts";
import { listWorkers, type WorkerList } from "./registry.ts";
import type { WorkerStatus } from "./worker-status.ts";

// All that a queue's server tells of workers, queues and runs at a moment.

/** A queue of hosts, by the label that its workers have. */
export interface LabelQueue {
  readonly label: string;
  /** Jobs that wait for a worker. */
  readonly waiting: number;
  /** Jobs that a worker has. */
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Workers that take hosts of this label. */
  readonly workers: number;
}

/** A run that goes on. */
export interface OngoingRun {
  readonly run: string;
  /** In ms since 1970, by the controller's clock. */
  readonly startedAt: number;
  /** False when its controller is gone: `volley attach` goes on with it. */
  readonly hasController: boolean;
  /** Hosts in flight, as the workers tell. */
  readonly inFlight: number;
  /** Workers with hosts of the run. */
  readonly workers: number;
}

/** A queue with its workers, at a moment. */
export interface FleetView extends WorkerList {
  /** Sorted. */
  readonly queues: readonly LabelQueue[];
  /** The latest one first. */
  readonly runs: readonly OngoingRun[];
}

const SCANNED = 1_000;
const MAX_RUNS = 1_000;

/**
 * Return a function that looks at a queue, over one connection. Nothing is written into the queue. A look waits for a
 * server that is away.
 */
export function watchFleet(connections: QueueConnections, seal: Seal): () => Promise<FleetView> {
  const { prefix } = connections;
  const redis = connections.open("fleet");
  const queues = new Map<string, Queue>();
  const queueOf = (label: string): Queue => {
    const known = queues.get(label);
    if (known !== undefined) return known;
    const queue = new Queue(queueName(label), { connection: redis, prefix, skipMetasUpdate: true });
    // The connection tells of its own faults.
    queue.on("error", () => {});
    queues.set(label, queue);
    return queue;
  };
  return async () => {
    const [list, found, runs] = await Promise.all([
      listWorkers({ redis, prefix, seal }),
      findLabels(redis, prefix),
      listRuns(redis, prefix),
    ]);
    const { workers } = list;
    const labels = [...new Set([...found, ...workers.flatMap((worker) => worker.labels)])].sort();
    return {
      ...list,
      queues: await Promise.all(labels.map((label) => countJobs(label, queueOf(label), workers))),
      runs: runs.map((each) => ({ ...each, ...shareOf(each.run, workers) })),
    };
  };
}

/** Find the labels of all queues by the keys that BullMQ makes for each. */
async function findLabels(redis: Redis, prefix: string): Promise<readonly string[]> {
  const start = `${prefix}:${queueName("")}`;
  const end = ":meta";
  const labels = new Set<string>();
  let cursor = "0";
  do {
    const [next, keys] = await redis.scan(cursor, "MATCH", `${start}*${end}`, "COUNT", SCANNED);
    for (const key of keys) {
      const label = key.slice(start.length, -end.length);
      // A colon is in keys of jobs, and in no label.
      if (label !== "" && !label.includes(":")) labels.add(label);
    }
    cursor = next;
  } while (cursor !== "0");
  return [...labels];
}

async function countJobs(label: string, queue: Queue, workers: readonly WorkerStatus[]): Promise<LabelQueue> {
  const counts = await queue.getJobCounts("waiting", "prioritized", "active", "delayed", "failed");
  const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
  return {
    label,
    waiting: waiting + prioritized,
    ...{ active, delayed, failed },
    workers: workers.filter(({ labels, isStopping }) => !isStopping && labels.includes(label)).length,
  };
}

async function listRuns(
  redis: Redis,
  prefix: string,
): Promise<readonly Pick<OngoingRun, "run" | "startedAt" | "hasController">[]> {
  const found = await redis.zrevrange(runsKey(prefix), 0, MAX_RUNS - 1, "WITHSCORES");
  const runs = found.flatMap((run, at) => (at % 2 === 0 ? [{ run, startedAt: Number(found[at + 1]) }] : []));
  const asked = redis.pipeline();
  for (const { run } of runs) asked.hmget(runKeys(prefix, run).control, "owner", ...COURSE_FIELDS);
  const [answers, time] = await Promise.all([asked.exec(), redis.time()]);
  const [seconds] = time as unknown as readonly [string | number];
  return runs.flatMap(({ run, startedAt }, at) => {
    const [owner, ...fields] = (answers?.[at]?.[1] ?? []) as readonly (string | null)[];
    const course = courseAt(fields, Number(seconds));
    // A run without an owner is forgotten.
    if (typeof owner !== "string" || course === "ended") return [];
    return [{ run, startedAt, hasController: course === "controlled" }];
  });
}

function shareOf(run: string, workers: readonly WorkerStatus[]): Pick<OngoingRun, "inFlight" | "workers"> {
  const shares = workers.flatMap((worker) => worker.runs.filter((share) => share.run === run));
  return { inFlight: shares.reduce((sum, { hosts }) => sum + hosts, 0), workers: shares.length };
}
