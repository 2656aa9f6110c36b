import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { Plan } from "../../controller/prepare/prepare.ts";
import type { HostQueue, OpenQueue, WorkerOptions } from "../../controller/queued/host-queue.ts";
import type { QueuedHost } from "../../controller/queued/queued-host.ts";
import { VolleyError } from "../../core/errors.ts";
import { waitsBetween } from "../../core/playbook.ts";
import { encodeVars, encodeWhole } from "../../vars/whole-value.ts";
import { openBundleStore } from "../bundles/store.ts";
import type { QueueConnections } from "../connect.ts";
import {
  NO_LABEL,
  PURPOSES,
  QUEUE_PROTOCOL,
  type QueuedPart,
  type QueuedPlay,
  type QueuedRun,
  sealValue,
} from "../messages.ts";
import { queueName, type RunKeys, runKeys, runsKey } from "../names.ts";
import type { QueueKey, Seal } from "../seal.ts";
import { makeOwner } from "./commit.ts";
import { type EarlierExchange, Exchange } from "./exchange.ts";
import { readRun } from "./reopen.ts";

const SHARD = 500;
/** Seconds that the log of a run stays in the store after the run's end. */
const KEPT_SECONDS = 7 * 24 * 3_600;
/** Seconds after which a run is no longer listed. */
const FORGOTTEN_SECONDS = 30 * 24 * 3_600;
/** Seconds for workers to hear that a run has ended. */
const CLOSING_SECONDS = 60;

/** Options of a queue, as a controller sees it. */
export interface HostQueueOptions {
  readonly connections: QueueConnections;
  readonly seal: Seal;
  readonly keys: readonly QueueKey[];
  /** The place of bundles. Default: the queue's own server. */
  readonly store?: string | undefined;
  /** Milliseconds of silence after which a worker's hosts go to other workers. Default 15 s. */
  readonly silentMs?: number | undefined;
  /** Milliseconds that the queue may be away before a run ends without it. Default 10 min. */
  readonly awayMs?: number | undefined;
  /** Seconds without a sign of life after which a run's controller counts as gone. Default 10 s. */
  readonly goneSeconds?: number | undefined;
}

const DEFAULT_SILENT_MS = 15_000;
const DEFAULT_AWAY_MS = 600_000;

/** Open a queue for runs. */
export function createHostQueue(options: HostQueueOptions): HostQueue {
  const { connections, seal } = options;
  const open = (
    run: string,
    hosts: readonly string[],
    owner: string,
    redis: Redis,
    earlier?: EarlierExchange,
  ): OpenQueue => {
    const keys = runKeys(connections.prefix, run);
    const queues = openQueues(redis, connections.prefix);
    const reading = connections.open("events");
    const exchange = new Exchange(
      {
        ...{ run, keys, seal, redis, reading, hosts, server: connections },
        queueOf: queues.of,
        silentMs: options.silentMs ?? DEFAULT_SILENT_MS,
        awayMs: options.awayMs ?? DEFAULT_AWAY_MS,
        ...(earlier === undefined ? {} : { earlier }),
      },
      owner,
    );
    const disconnect = (): void => {
      reading.disconnect();
      redis.disconnect();
    };
    exchange.replaced.catch(disconnect);
    return {
      session: (host, part) => exchange.session(host, part),
      listen: () => exchange.listen(),
      log: (event) => exchange.log(event),
      replaced: exchange.replaced,
      close: async () => {
        // Where the queue is away, or the run is another controller's, there is nothing to be said to it.
        if (await exchange.close()) {
          // The run has ended, though the server may refuse this: it forgets what is left after a time.
          await forget(redis, keys).catch(() => {});
          await queues.close();
        }
        disconnect();
      },
    };
  };
  return {
    shown: connections.shown,
    open: async (plan, workerOptions) => {
      const redis = connections.open("controller");
      const owner = makeOwner();
      try {
        await unlessAway(options, "nothing was begun", handOver(redis, plan, workerOptions, owner, options));
      } catch (thrown) {
        redis.disconnect();
        throw thrown;
      }
      return open(
        plan.run,
        plan.hosts.map(({ name }) => name),
        owner,
        redis,
      );
    },
    reopen: async (run, runOptions) => {
      const redis = connections.open("controller");
      const owner = makeOwner();
      try {
        const { goneSeconds } = options;
        const keys = runKeys(connections.prefix, run);
        const stored = { redis, keys, seal, run, owner, goneSeconds };
        const { plan, earlier } = await unlessAway(
          options,
          "the run goes on without a controller",
          readRun(stored, runOptions),
        );
        const hosts = plan.hosts.map(({ name }) => name);
        return { plan, queue: open(run, hosts, owner, redis, earlier) };
      } catch (thrown) {
        redis.disconnect();
        throw thrown;
      }
    },
  };
}

/** Resolve with the work. Fails with `QUEUE_FAILED` once the queue has been away for too long; `standing`: what is then known. */
async function unlessAway<T>(
  { connections, awayMs = DEFAULT_AWAY_MS }: HostQueueOptions,
  standing: string,
  work: Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => {};
  const away = new Promise<never>((_resolve, reject) => {
    const give = (): void =>
      reject(
        new VolleyError(
          "QUEUE_FAILED",
          `the queue at ${connections.shown} has been away for ${awayMs / 1_000} s`,
          {
            hint: `${standing}: give this command again once the server is back`,
          },
        ),
      );
    const wait = (): void => {
      timer ??= setTimeout(give, awayMs);
    };
    const unsubscribe = [
      connections.onAway(wait),
      connections.onBack(() => {
        clearTimeout(timer);
        timer = undefined;
      }),
    ];
    stop = () => {
      for (const end of unsubscribe) end();
    };
    if (connections.away.since !== undefined) wait();
  });
  try {
    return await Promise.race([work, away]);
  } finally {
    clearTimeout(timer);
    stop();
  }
}

/** BullMQ's queues by label, opened when they are needed. */
function openQueues(redis: Redis, prefix: string): { of(label: string): Queue; close(): Promise<void> } {
  const queues = new Map<string, Queue>();
  return {
    of: (label) => {
      let queue = queues.get(label);
      if (queue === undefined) {
        queue = new Queue(queueName(label), { connection: redis, prefix, skipVersionCheck: true });
        // The connection tells of its own faults.
        queue.on("error", () => {});
        queues.set(label, queue);
      }
      return queue;
    },
    close: async () => {
      await Promise.all([...queues.values()].map((queue) => queue.close().catch(() => {})));
    },
  };
}

/**
 * Write a run into the store: its bundle, its record and the work of its hosts. Fails with `USAGE` or `INVENTORY_INVALID`
 * for a host whose kind of connection Volley does not have.
 */
async function handOver(
  redis: Redis,
  plan: Plan,
  workerOptions: WorkerOptions,
  owner: string,
  { connections, seal, keys: queueKeys, store: place }: HostQueueOptions,
): Promise<void> {
  const { run, bundle } = plan;
  const { prefix } = connections;
  const queued = plan.hosts.map((host) => ("label" in host ? host : undefined));
  for (const host of queued) {
    const { refused } = host?.way.host.connection ?? {};
    if (refused !== undefined) throw refused;
  }
  const keys = runKeys(prefix, run);
  const store = openBundleStore(place, { redis, prefix, keys: queueKeys });
  if (!(await store.has(bundle.id))) await store.put(bundle.id, bundle.bytes);
  const common = commonOf(queued.flatMap((host) => (host === undefined ? [] : [host.job])));
  for (let from = 0; from < queued.length; from += SHARD) {
    const fields = queued.slice(from, from + SHARD).flatMap((host, at) => {
      if (host === undefined) return [];
      const index = from + at;
      const part = partOf(host, plan, common);
      return [String(index), sealValue(seal, PURPOSES.part(run, index), part)];
    });
    if (fields.length > 0) await redis.hset(keys.parts, ...fields);
  }
  const [beat] = (await redis.time()) as unknown as readonly [string | number];
  const record = sealValue(seal, PURPOSES.run(run), recordOf(plan, workerOptions, common, queued, place));
  await redis
    .multi()
    .hset(keys.control, { owner, number: "0", beat: String(beat) })
    .set(keys.record, record)
    .zadd(runsKey(prefix), Date.now(), run)
    .zremrangebyscore(runsKey(prefix), 0, Date.now() - FORGOTTEN_SECONDS * 1_000)
    .exec();
}

/** Return the parts of jobs that are one and the same value for all hosts: in a large fleet they are most of a job. */
function commonOf(jobs: readonly QueuedHost["job"][]): Readonly<Record<string, unknown>> {
  const [first] = jobs;
  if (first === undefined) return {};
  return Object.fromEntries(
    Object.entries(first).filter(([key, value]) =>
      jobs.every((job) => (job as unknown as Readonly<Record<string, unknown>>)[key] === value),
    ),
  );
}

function partOf(
  { way, job, secrets }: QueuedHost,
  plan: Plan,
  common: Readonly<Record<string, unknown>>,
): QueuedPart {
  const own = Object.fromEntries(Object.entries(encodeVars(job)).filter(([key]) => !(key in common)));
  const plays = job.plays.map((index) => plan.plays.find((entry) => entry.index === index)!.play);
  const waits = job.plays.filter(
    (_index, at) => plays[at + 1] !== undefined && waitsBetween(plays[at]!, plays[at + 1]!),
  );
  return {
    way: encodeWhole(way) as QueuedPart["way"],
    job: own as unknown as QueuedPart["job"],
    ...{ secrets, waits },
    waitMs: 1_000 * (plays[0]?.waitForConnection ?? 0),
  };
}

const SCHEDULE_KEYS = [
  ...["strategy", "serial", "maxFailPercentage", "anyErrorsFatal", "order", "throttle", "timeout"],
  ...["waitForConnection", "written"],
] as const;

function recordOf(
  plan: Plan,
  options: WorkerOptions,
  common: Readonly<Record<string, unknown>>,
  queued: readonly (QueuedHost | undefined)[],
  store: string | undefined,
): QueuedRun {
  const { run, playbook, plays, hosts, bundle, check, seed, limits, record } = plan;
  const indexes = new Map(hosts.map(({ name }, index) => [name, index]));
  return {
    protocol: QUEUE_PROTOCOL,
    run,
    playbook: playbook.name,
    startedAt: record?.startedAt ?? new Date().toISOString(),
    hosts: hosts.map(({ name }) => name),
    labels: queued.map((host) => host?.label ?? NO_LABEL),
    plays: plays.map(
      ({ index, play, hosts: some }): QueuedPlay => ({
        index,
        play: {
          name: play.name,
          hosts: play.hosts,
          ...Object.fromEntries(
            SCHEDULE_KEYS.flatMap((key) => {
              const value: unknown = play[key];
              return value === undefined ? [] : [[key, value]];
            }),
          ),
          ...(play.program === undefined ? {} : { program: true }),
        },
        hosts: some.map(({ name }) => indexes.get(name)!),
      }),
    ),
    bundle: { id: bundle.id, bytes: bundle.bytes.length, reused: bundle.reused },
    store,
    options,
    check,
    seed,
    limits,
    common: encodeWhole(common) as QueuedRun["common"],
    recorded: record?.options ?? {},
  };
}

/** Leave only the log, for a week: the run has ended. */
async function forget(redis: Redis, keys: RunKeys): Promise<void> {
  await redis
    .multi()
    .hset(keys.control, "ended", "1")
    .del(keys.parts, keys.results)
    .expire(keys.up, CLOSING_SECONDS)
    .expire(keys.down, CLOSING_SECONDS)
    .expire(keys.log, KEPT_SECONDS)
    .expire(keys.record, KEPT_SECONDS)
    .expire(keys.control, KEPT_SECONDS)
    .exec();
}
