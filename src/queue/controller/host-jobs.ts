import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { PURPOSES, sealValue } from "../messages.ts";
import { jobId } from "../names.ts";
import type { Seal } from "../seal.ts";
import type { RemoteSession } from "./remote-session.ts";

/** Jobs that are added to a queue, or looked for, at a time. */
const SHARD = 500;
/** Time for a worker to take the first host, before people are told that none has. */
const UNTAKEN_MS = 10_000;

/** Options of the jobs of a run. */
export interface HostJobsOptions {
  readonly run: string;
  readonly seal: Seal;
  readonly redis: Redis;
  /** Return BullMQ's queue of a label. */
  queueOf(label: string): Queue;
  /** Milliseconds between two looks for jobs that are gone. */
  readonly silentMs: number;
  /** Tell people. */
  warn(text: string): void;
  /** Return whether nobody may rely on a worker any more. */
  isSilent(session: string): boolean;
}

/** The jobs by which BullMQ brings the hosts of a run to workers. */
export class HostJobs {
  readonly #options: HostJobsOptions;
  readonly #sessions = new Map<number, RemoteSession>();
  readonly #labels = new Map<number, string>();
  readonly #waiting: number[] = [];
  readonly #added = new Set<number>();
  #addedAt: number | undefined;
  #lookedAt = performance.now();
  #isLooking = false;
  /** The host whose job was looked for last. */
  #last = -1;

  constructor(options: HostJobsOptions) {
    this.#options = options;
  }

  /** Take in a host, by its index. */
  join(host: number, label: string, session: RemoteSession): void {
    this.#labels.set(host, label);
    this.#sessions.set(host, session);
  }

  /** Return whether workers may take the host. */
  has(host: number): boolean {
    return this.#labels.has(host);
  }

  /** Have `write` add the job of a host, unless it is in the queue. */
  add(host: number): void {
    this.#waiting.push(host);
  }

  /** True while there are jobs to be written. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Write the jobs that were added. Where it fails, those not written still wait. */
  async write(): Promise<void> {
    const { run, seal, queueOf } = this.#options;
    while (this.#waiting.length > 0) {
      const shard = this.#waiting.slice(0, SHARD);
      const byLabel = new Map<string, number[]>();
      for (const host of shard) {
        const label = this.#labels.get(host)!;
        byLabel.set(label, [...(byLabel.get(label) ?? []), host]);
      }
      for (const [label, hosts] of byLabel)
        await queueOf(label).addBulk(
          hosts.map((host) => ({
            name: "host",
            data: { sealed: sealValue(seal, PURPOSES.job(), { run, host }).toString("base64") },
            opts: { jobId: jobId(run, host), removeOnComplete: true, removeOnFail: true },
          })),
        );
      this.#waiting.splice(0, shard.length);
      for (const host of shard) this.#added.add(host);
      this.#addedAt ??= performance.now();
    }
  }

  /** Remove the jobs that no worker has asked about. */
  async remove(): Promise<void> {
    for (const host of this.#added) {
      // A worker that has the job removes it once it is told that the part is over.
      if (this.#sessions.get(host)!.holder !== undefined) continue;
      await this.#queueOf(host)
        .remove(jobId(this.#options.run, host))
        .catch(() => {});
    }
  }

  /** Tell of labels whose hosts no worker takes, and bring jobs again that are gone. Called now and then. */
  look(now: number): void {
    const { silentMs } = this.#options;
    if (this.#addedAt !== undefined && now - this.#addedAt > Math.min(UNTAKEN_MS, silentMs)) {
      this.#addedAt = undefined;
      this.#warnOfUntaken();
    }
    if (this.#isLooking || now - this.#lookedAt <= silentMs) return;
    this.#isLooking = true;
    void this.#bringAgain()
      .catch(() => {})
      .finally(() => {
        this.#isLooking = false;
        this.#lookedAt = performance.now();
      });
  }

  #warnOfUntaken(): void {
    const untaken = new Set([...this.#added].map((host) => this.#labels.get(host)!));
    for (const [host, session] of this.#sessions)
      if (session.isTaken) untaken.delete(this.#labels.get(host)!);
    if (untaken.size === 0) return;
    const labels = [...untaken].join(", ");
    this.#options.warn(
      `no worker has taken a host of ${labels} so far: volley worker --labels ${[...untaken].join(",")} starts one, and volley fleet shows them`,
    );
  }

  /** Bring jobs again that somebody has removed, or that a worker has refused because they were changed. */
  async #bringAgain(): Promise<void> {
    const { isSilent, warn } = this.#options;
    const waiting = [...this.#added].filter((host) => this.#sessions.get(host)!.needsJob(isSilent));
    // In a large run, the next ones by rising index.
    const later = waiting.filter((host) => host > this.#last);
    const looked = (later.length > 0 ? later : waiting).slice(0, SHARD);
    this.#last = looked.at(-1) ?? -1;
    const missing = await this.#missing(looked);
    const gone = missing.flatMap((host) => {
      const session = this.#sessions.get(host)!;
      return session.needsJob(isSilent) ? [session] : [];
    });
    const [first] = gone;
    if (first === undefined) return;
    const names = gone.length === 1 ? first.host : `${first.host} and ${gone.length - 1} more hosts`;
    warn(
      `the job of ${names} has gone from the queue, and no worker has asked for the host: a worker with another queue key refuses jobs, and says so`,
    );
    for (const session of gone) session.jobLost();
  }

  /** Return those of some hosts whose jobs no worker can get. */
  async #missing(hosts: readonly number[]): Promise<readonly number[]> {
    const listed = new Set<string>();
    for (const queue of new Set(hosts.map((host) => this.#queueOf(host))))
      for (const id of await queue.getRanges(["wait", "active"])) listed.add(id);
    const areMissing = await Promise.all(hosts.map((host) => this.#isMissing(host, listed)));
    return hosts.filter((_host, at) => areMissing[at]);
  }

  async #isMissing(host: number, listed: ReadonlySet<string>): Promise<boolean> {
    const { run, redis } = this.#options;
    const queue = this.#queueOf(host);
    const id = jobId(run, host);
    if ((await redis.exists(queue.toKey(id))) === 0) return true;
    // BullMQ adds no job that it still has the content of. A job that is locked is with a worker.
    return !listed.has(id) && (await queue.remove(id)) === 1;
  }

  #queueOf(host: number): Queue {
    return this.#options.queueOf(this.#labels.get(host)!);
  }
}
