import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job as QueueJob, Worker as QueueWorker } from "bullmq";
import type { Redis } from "ioredis";
import type { RunOptions } from "../../controller/prepare/options.ts";
import { createPlaces } from "../../controller/schedule/places.ts";
import { describeError, isVolleyError, messageOf, printable } from "../../core/errors.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import type { QueueConnections } from "../connect.ts";
import { openValue, PURPOSES } from "../messages.ts";
import { queueName } from "../names.ts";
import type { Seal } from "../seal.ts";
import type { WorkerState } from "../status/meter.ts";
import type { WorkCounts } from "../status/worker-status.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { type PartOutcome, WorkerPart } from "./part.ts";
import { RunLinks, type WorkerContext } from "./run-link.ts";

/** Time until the server is asked again after it has refused to answer. */
const RETRY_MS = 1_000;
/** Time before the next job once one was refused; twice as long for each more in a row, up to the maximum. */
const REFUSED_MS = 50;
const MAX_REFUSED_MS = 5_000;
/** Time until another label is asked for hosts, where several share the last room. */
const TURN_MS = 100;
/** Time that a worker that stops waits for a queue that is away. */
const STOP_AWAY_MS = 3_000;
/** Time that the queue may be away before hosts go on without this worker. */
const AWAY_MS = 600_000;
/** Time for a run's controller to say something, to a worker that has a host of it. */
const UNANSWERED_MS = 30_000;

/** Options of a worker. */
export interface WorkerOptions {
  readonly connections: QueueConnections;
  readonly seal: Seal;
  readonly name: string;
  /** This process, at random: letters and digits. */
  readonly id: string;
  readonly labels: readonly string[];
  /** Hosts at work at a time. */
  readonly concurrency: number;
  /** Milliseconds after which BullMQ brings the hosts of a worker that is gone to another one. */
  readonly leaseMs: number;
  /** Milliseconds without a word of a run's controller after which hosts that were not granted are let go. Default 30 s. */
  readonly unansweredMs?: number | undefined;
  /** Milliseconds that the queue may be away before hosts go on without the worker. Default 10 min. */
  readonly awayMs?: number | undefined;
  /** Characters of a run's messages that may wait for the queue, before hosts are handed back. Default 64 Mi. */
  readonly maxWaiting?: number | undefined;
  readonly reach: Partial<RunOptions>;
  /** Reads the secrets that controllers leave to workers. */
  readonly secrets: SecretStore;
  readonly meter: WorkCounts;
  /** Return a bundle. Fails with `QUEUE_FAILED` and `QUEUE_REFUSED`. */
  bundle(redis: Redis, id: string, store: string | undefined): Promise<Buffer>;
  /** Tell people on this machine. */
  say(text: string): void;
}

/** A process that carries out hosts' parts of runs. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #redis: Redis;
  readonly #links: RunLinks;
  readonly #places: ReturnType<typeof createPlaces>;
  readonly #queues: readonly LabelQueue[];
  readonly #parts = new Set<WorkerPart>();
  /** Jobs that the worker has, or waits for. */
  #taken = 0;
  #isStopping = false;
  #refusedInRow = 0;
  /** Loops that wait for room, in their order. */
  readonly #waiting: (() => void)[] = [];
  readonly #loops: readonly Promise<void>[];
  /** Aborted once the worker stops while the queue is away: nothing more can be told. */
  readonly #cutOff = new AbortController();
  readonly #unsubscribe: readonly (() => void)[];
  #awayTimer: NodeJS.Timeout | undefined;

  constructor(options: WorkerOptions) {
    this.#options = options;
    // Each host at work listens to it.
    setMaxListeners(0, this.#cutOff.signal);
    const { connections, seal, name, labels, concurrency, leaseMs, reach, secrets, meter, say } = options;
    const redis = connections.open(`worker ${name}`);
    this.#redis = redis;
    const context: WorkerContext = {
      name,
      seal,
      prefix: connections.prefix,
      redis,
      openReading: () => connections.open(`worker ${name}: run`),
      bundle: (id, store) => options.bundle(redis, id, store),
      ...{ reach, secrets },
      maxWaiting: options.maxWaiting,
      isAway: () => connections.away.since !== undefined,
      say,
      refused: (what) => meter.refused(what),
      unansweredMs: options.unansweredMs ?? UNANSWERED_MS,
      settled: async (work) => void (await this.#settled(work)),
    };
    this.#unsubscribe = [
      connections.onAway(() => {
        this.#awayTimer = setTimeout(() => this.#goWithout(), options.awayMs ?? AWAY_MS);
      }),
      connections.onBack(() => clearTimeout(this.#awayTimer)),
    ];
    this.#links = new RunLinks(context);
    this.#places = createPlaces(concurrency);
    this.#queues = labels.map(
      (label) => new LabelQueue(label, { redis, prefix: connections.prefix, name, leaseMs, say }),
    );
    this.#loops = this.#queues.map((queue) => this.#loop(queue));
  }

  /** The hosts that the worker has, and whether it takes more. */
  get state(): WorkerState {
    return { hosts: this.#parts, isStopping: this.#isStopping };
  }

  /** Take no more hosts, and resolve once those at work have ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#wake();
    for (const part of this.#parts) if (!part.isGranted) void part.handBack();
    for (const queue of this.#queues) queue.stop();
    const looking = setInterval(() => {
      const { since } = this.#options.connections.away;
      if (since !== undefined && Date.now() - since > STOP_AWAY_MS) this.#cutOff.abort();
    }, RETRY_MS);
    await Promise.all(this.#loops);
    await Promise.all(this.#queues.map((queue) => this.#settled(queue.close())));
    clearInterval(looking);
    clearTimeout(this.#awayTimer);
    for (const end of this.#unsubscribe) end();
    this.#redis.disconnect();
  }

  /** Wait for something that the queue is to take, unless the worker stops while the queue is away. */
  #settled<T>(work: Promise<T>): Promise<T | undefined> {
    return unlessAborted(this.#cutOff.signal, work);
  }

  /** The queue does not come back: end the sessions. Hosts end the plays they are in by themselves. */
  #goWithout(): void {
    const parts = [...this.#parts].filter(({ isGranted }) => isGranted);
    if (parts.length > 0)
      this.#options.say(`the queue has been away too long: ${parts.length} hosts go on alone`);
    void this.handBack();
  }

  /** Let other workers have the hosts at work. */
  async handBack(): Promise<void> {
    await Promise.all([...this.#parts].map((part) => part.handBack()));
  }

  /** Take jobs of one label as long as there is room. */
  async #loop(queue: LabelQueue): Promise<void> {
    const working = new Set<Promise<void>>();
    while (!this.#isStopping) {
      await this.#room();
      await this.#patience();
      if (this.#isStopping) break;
      // All labels share the room, so that one without jobs does not keep it from the others.
      const job = await this.#settled(queue.next(this.#waiting.length === 0));
      if (job === undefined || this.#isStopping) {
        // The job came while the worker was told to stop, perhaps from this very worker.
        if (job !== undefined) await this.#settled(queue.giveBack(job));
        this.#leaveRoom();
        continue;
      }
      const done = this.#work(queue, job).finally(() => {
        working.delete(done);
        this.#leaveRoom();
      });
      working.add(done);
    }
    await Promise.all(working);
  }

  /**
   * Wait after jobs that were refused, the longer the more there were in a row: a worker with another key would take all
   * jobs away from those that can open them.
   */
  async #patience(): Promise<void> {
    const waitMs = Math.min(REFUSED_MS * (2 ** this.#refusedInRow - 1), MAX_REFUSED_MS);
    const until = performance.now() + waitMs;
    while (!this.#isStopping && performance.now() < until) await sleep(REFUSED_MS);
  }

  /** Resolve once another host may be at work, for which room is kept, or the worker stops. */
  async #room(): Promise<void> {
    if (this.#isStopping) return;
    if (this.#waiting.length > 0 || this.#atWork() >= this.#options.concurrency)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#taken++;
  }

  #leaveRoom(): void {
    this.#taken--;
    this.#wake();
  }

  /** Return the number of hosts that have a place, or wait for one; also of those whose run is only being opened. */
  #atWork(): number {
    let count = this.#taken;
    for (const { isWaiting } of this.#parts) if (isWaiting) count--;
    return count;
  }

  /** Give the room that is free to the loops that wait. */
  #wake(): void {
    while (this.#waiting.length > 0 && (this.#isStopping || this.#atWork() < this.#options.concurrency)) {
      this.#taken++;
      this.#waiting.shift()!();
    }
  }

  async #work(queue: LabelQueue, job: TakenJob): Promise<void> {
    const { meter, seal, say } = this.#options;
    meter.taken(queue.label);
    let outcome: PartOutcome = { is: "over" };
    try {
      const data = job.data as { readonly sealed?: unknown } | undefined;
      const sealed = Buffer.from(String(data?.sealed), "base64");
      const { run, host } = openValue<{ readonly run: string; readonly host: number }>(
        seal,
        PURPOSES.job(),
        sealed,
      );
      this.#refusedInRow = 0;
      outcome = await this.#links.use(run, (link) => this.#carryOut(link, host));
    } catch (thrown) {
      const isRefused = isVolleyError(thrown) && (thrown.code === "QUEUE_REFUSED" || thrown.code === "USAGE");
      if (isRefused) {
        meter.refused("job");
        this.#refusedInRow++;
      }
      say(`job ${printable(String(job.id), 100)} was refused: ${describeError(thrown)}`);
    }
    if (outcome.is === "over") await this.#settled(queue.remove(job));
    else {
      meter.handedBack();
      await this.#settled(queue.giveBack(job));
    }
  }

  async #carryOut(link: Parameters<Parameters<RunLinks["use"]>[1]>[0], host: number): Promise<PartOutcome> {
    const { meter, say } = this.#options;
    const place = this.#places.join();
    const part = new WorkerPart({
      ...{ link, host, place },
      onWait: () => this.#wake(),
      onFull: () => say(`too much waits for the queue: ${link.record.hosts[host]} goes on alone meanwhile`),
      onBegin: () => meter.began(),
      onEvent: () => meter.event(1),
    });
    this.#parts.add(part);
    try {
      const outcome = await part.carryOut();
      if (outcome.is === "over" && outcome.end !== undefined)
        meter.ended(outcome.end.outcome, outcome.end.elapsedMs);
      return outcome;
    } finally {
      this.#parts.delete(part);
    }
  }
}

type TakenJob = QueueJob & { readonly token: string };

interface LabelOptions {
  readonly redis: Redis;
  readonly prefix: string;
  readonly name: string;
  readonly leaseMs: number;
  say(text: string): void;
}

/** BullMQ's queue of one label, as a worker sees it: it brings jobs, and jobs of workers that are gone again. */
class LabelQueue {
  readonly label: string;
  readonly #queue: QueueWorker;
  readonly #taken = new Map<string, string>();
  readonly #renewing: NodeJS.Timeout;
  readonly #leaseMs: number;
  readonly #id = randomBytes(8).toString("hex");
  #count = 0;

  constructor(label: string, { redis, prefix, name, leaseMs, say }: LabelOptions) {
    this.label = label;
    this.#leaseMs = leaseMs;
    this.#queue = new QueueWorker(queueName(label), null, {
      connection: redis,
      prefix,
      name,
      lockDuration: leaseMs,
      stalledInterval: Math.max(1_000, leaseMs / 3),
      // Seconds to wait for a job at a time: a worker that stops waits as long.
      drainDelay: 1,
      // A host is brought to workers until one has carried it out, however many are gone meanwhile.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      skipVersionCheck: true,
    });
    // The connection tells of its own faults.
    this.#queue.on("error", () => {});
    void this.#queue.startStalledCheckTimer();
    this.#renewing = setInterval(() => {
      this.#renew().catch((thrown: unknown) => say(messageOf(thrown)));
    }, leaseMs / 3);
  }

  /** Wait for a job, for a second, or only for a moment unless `isPatient`. */
  async next(isPatient: boolean): Promise<TakenJob | undefined> {
    const token = `${this.#id}:${++this.#count}`;
    const job = (await this.#queue.getNextJob(token, { block: isPatient }).catch(() => sleep(RETRY_MS))) as
      | TakenJob
      | undefined;
    if (job?.id !== undefined) this.#taken.set(job.id, token);
    else if (!isPatient) await sleep(TURN_MS);
    return job;
  }

  /** Remove a job: its host's part is over. */
  async remove(job: TakenJob): Promise<void> {
    this.#forget(job);
    // The job may have gone back to the queue while that was away. A worker that has it by now is told the same.
    await job.moveToCompleted(null, job.token, false).catch(() => job.remove().catch(() => {}));
  }

  /** Give a job to another worker. */
  async giveBack(job: TakenJob): Promise<void> {
    this.#forget(job);
    await job.moveToWait(job.token).catch(() => {});
  }

  /** Renew a job no longer, unless it was brought here once more. */
  #forget({ id, token }: TakenJob): void {
    if (this.#taken.get(id!) === token) this.#taken.delete(id!);
  }

  /** Take no more jobs. */
  stop(): void {
    void this.#queue.pause(true);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewing);
    await this.#queue.close(true).catch(() => {});
  }

  async #renew(): Promise<void> {
    if (this.#taken.size === 0) return;
    await this.#queue
      .extendJobLocks([...this.#taken.keys()], [...this.#taken.values()], this.#leaseMs)
      .catch(() => []);
  }
}
