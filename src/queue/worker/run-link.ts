import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { listRuntimes, type Runtime } from "../../bundle/runtimes/store.ts";
import type { RunOptions } from "../../controller/prepare/options.ts";
import { openWays, type Ways } from "../../controller/prepare/transports.ts";
import { createArchives } from "../../controller/schedule/sessions.ts";
import { isVolleyError, messageOf, VolleyError } from "../../core/errors.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import { decodeVars, decodeWhole } from "../../vars/whole-value.ts";
import { readRecord } from "../controller/reopen.ts";
import {
  type DownItem,
  type DownMessage,
  openValue,
  PURPOSES,
  type QueuedPart,
  type QueuedRun,
  type UpItem,
} from "../messages.ts";
import { type RunKeys, runKeys } from "../names.ts";
import type { Seal } from "../seal.ts";
import { followStream, lastId, type StreamEntry } from "../streams.ts";
import { Outbox } from "./outbox.ts";
import { type OpenedPart, openSecrets } from "./secrets.ts";

/** Time between two signs of life of a worker, in milliseconds. */
const BEAT_MS = 1_000;
/** Time until the messages of the controller are asked for again, in milliseconds. */
const RETRY_MS = 1_000;

/** The means of a worker that all runs share. */
export interface WorkerContext {
  readonly name: string;
  readonly seal: Seal;
  readonly prefix: string;
  /** For commands. */
  readonly redis: Redis;
  /** Open a connection for a stream. */
  openReading(): Redis;
  /** Return a bundle. Fails with `QUEUE_FAILED` and `QUEUE_REFUSED`. */
  bundle(id: string, store: string | undefined): Promise<Buffer>;
  /** The worker's own options for reaching hosts, which come before those of runs. */
  readonly reach: Partial<RunOptions>;
  /** Reads the secrets that controllers leave to workers. */
  readonly secrets: SecretStore;
  /** See `OutboxOptions`. */
  readonly maxWaiting: number | undefined;
  /** Return whether the queue is away. */
  isAway(): boolean;
  /** Tell people on the worker's machine. */
  say(text: string): void;
  /** Count what was refused. */
  refused(what: "job" | "message"): void;
  /** Milliseconds without a word of a run's controller after which its hosts that were not granted are let go. */
  readonly unansweredMs: number;
  /** Wait for something that the queue is to take, unless the worker stops while the queue is away. */
  settled(work: Promise<unknown>): Promise<void>;
}

/** A part that waits for messages of the controller. */
export interface PartListener {
  take(item: DownItem): void;
  /** Return the offer that is to be repeated, while the part is not granted. */
  offer(): UpItem | undefined;
  /** The run is over, or unknown: nothing is to be begun, and nobody waits for more. */
  over(): void;
  /** Messages of the controller are missing. */
  missed(): void;
  /** Another controller has the run, which does not know what the one before was asked. */
  replaced(): void;
}

/** A run that a worker has hosts of. */
export class RunLink {
  readonly run: string;
  /** The worker's name. */
  readonly worker: string;
  readonly record: QueuedRun;
  readonly options: RunOptions;
  readonly runtimes: readonly Runtime[];
  readonly archives: (id: string) => Promise<Buffer>;
  readonly ways: Ways;
  readonly outbox: Outbox;
  readonly #context: WorkerContext;
  readonly #keys: RunKeys;
  readonly #listeners = new Map<string, PartListener>();
  readonly #closing = new AbortController();
  readonly #common: object;
  readonly #reading: Redis;
  #lastNumber = 0;
  #heardAt = performance.now();
  #beating: NodeJS.Timeout;
  #bundle: Promise<Buffer> | undefined;

  private constructor(
    context: WorkerContext,
    record: QueuedRun,
    { options, ways, after }: { options: RunOptions; ways: Ways; after: string },
  ) {
    this.#context = context;
    this.run = record.run;
    this.worker = context.name;
    this.record = record;
    this.options = options;
    this.ways = ways;
    this.runtimes = record.options.runtime === "never" ? [] : listRuntimes();
    this.archives = createArchives(this.runtimes);
    this.#keys = runKeys(context.prefix, record.run);
    this.#common = decodeWhole(record.common) as object;
    const { redis, seal, name, maxWaiting } = context;
    // The numbers of messages begin anew with every link.
    const session = randomBytes(12).toString("hex");
    const stream = this.#keys.up;
    this.outbox = new Outbox({ run: record.run, stream, redis, seal, session, worker: name, maxWaiting });
    this.#reading = context.openReading();
    void this.#follow(after);
    this.#beating = setInterval(() => void this.#beat(), BEAT_MS);
  }

  /** Open a run. Fails with `USAGE` when there is none, and with `QUEUE_REFUSED`. */
  static async open(context: WorkerContext, run: string): Promise<RunLink> {
    const { redis, seal, prefix, reach } = context;
    const keys = runKeys(prefix, run);
    const record = await readRecord({ redis, keys, seal, run });
    const after = await lastId(redis, keys.down);
    const options: RunOptions = { ...record.options, ...reach, inventory: [], playbook: record.playbook };
    const ways = await openWays(options, new AbortController().signal);
    return new RunLink(context, record, { options, ways, after });
  }

  /** Read the work of a host. Fails with `USAGE` when there is none, with `QUEUE_REFUSED`, and with `SECRET_FAILED`. */
  async part(host: number): Promise<OpenedPart> {
    const { redis, seal, secrets } = this.#context;
    const sealed = await redis.hgetBuffer(this.#keys.parts, String(host));
    if (sealed === null)
      throw new VolleyError("USAGE", `the work of ${this.record.hosts[host]} is no longer in the queue`, {
        hint: "somebody has deleted it, or the run is over",
      });
    const { way, job, ...rest } = this.#refusing(() =>
      openValue<QueuedPart>(seal, PURPOSES.part(this.run, host), sealed),
    );
    const whole = {
      ...rest,
      way: decodeWhole(way) as QueuedPart["way"],
      job: { ...decodeVars(job), ...this.#common },
    };
    return openSecrets(whole, secrets);
  }

  /** Return the run's bundle. */
  bundle(): Promise<Buffer> {
    const { bundle, store } = this.record;
    this.#bundle ??= this.#context.bundle(bundle.id, store);
    this.#bundle.catch((thrown: unknown) => {
      this.#bundle = undefined;
      this.#noteRefusal(thrown);
    });
    return this.#bundle;
  }

  /** Pass on what the controller says about a part, until `leave`. */
  listen(host: number, token: string, listener: PartListener): void {
    this.#listeners.set(`${host} ${token}`, listener);
  }

  leave(host: number, token: string): void {
    this.#listeners.delete(`${host} ${token}`);
  }

  /** True while the queue is away, and more waits for it than this process is to hold. */
  get isFull(): boolean {
    return this.outbox.isFull && this.#context.isAway();
  }

  /** Resolve once all that was sent so far is in the store, or the worker stops while the queue is away. */
  sent(): Promise<void> {
    return this.#context.settled(this.outbox.sent());
  }

  close(): void {
    clearInterval(this.#beating);
    this.#closing.abort();
    this.#reading.disconnect();
    this.outbox.close();
    this.ways.close();
  }

  /** Take the messages of the controller after an id, for ever. A server that forbids it is asked again. */
  async #follow(after: string): Promise<void> {
    const { signal } = this.#closing;
    let last = after;
    let said = "";
    const take = (entries: readonly StreamEntry[]): void => {
      last = entries.at(-1)!.id;
      this.#take(entries);
    };
    while (!signal.aborted) {
      try {
        await followStream(this.#reading, this.#keys.down, { after: last, signal, take });
      } catch (thrown) {
        const text = `run ${this.run}: the messages of the controller cannot be read: ${messageOf(thrown)}`;
        if (text !== said) this.#context.say(text);
        said = text;
        await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  #take(entries: readonly StreamEntry[]): void {
    for (const { bytes } of entries) {
      let message: DownMessage;
      try {
        message = openValue<DownMessage>(this.#context.seal, PURPOSES.down(this.run), bytes);
      } catch (thrown) {
        this.#refuse(`a message of the controller was refused: ${(thrown as Error).message}`);
        continue;
      }
      if (message.number <= this.#lastNumber) {
        this.#refuse(`message ${message.number} of the controller came again, and was refused`);
        continue;
      }
      const isFirst = this.#lastNumber > 0 && message.after === 0;
      const isGap = this.#lastNumber > 0 && message.after > this.#lastNumber;
      this.#lastNumber = message.number;
      this.#heardAt = performance.now();
      if (isGap) this.#missed();
      else if (isFirst) for (const listener of [...this.#listeners.values()]) listener.replaced();
      for (const item of message.items) this.#listeners.get(`${item.host} ${item.token}`)?.take(item);
    }
  }

  /** The controller says all again to a worker that is granted a host. */
  #missed(): void {
    this.#tell("messages of the controller are missing: hosts at work are handed back");
    for (const listener of [...this.#listeners.values()]) listener.missed();
  }

  #refusing<T>(open: () => T): T {
    try {
      return open();
    } catch (thrown) {
      this.#noteRefusal(thrown);
      throw thrown;
    }
  }

  #noteRefusal(thrown: unknown): void {
    if (isVolleyError(thrown) && thrown.code === "QUEUE_REFUSED") this.#refuse(thrown.message);
  }

  #refuse(text: string): void {
    this.#context.refused("message");
    this.#tell(text);
  }

  /** Tell people here and at the controller. */
  #tell(text: string): void {
    this.#context.say(`run ${this.run}: ${text}`);
    this.outbox.send({ type: "refused", text });
  }

  async #beat(): Promise<void> {
    const offers = [...this.#listeners.values()].flatMap((listener) => listener.offer() ?? []);
    this.outbox.beat(offers);
    const { redis, unansweredMs } = this.#context;
    const control = await redis.hmget(this.#keys.control, "ended", "owner").catch(() => undefined);
    // No controller could be heard meanwhile.
    if (control === undefined) this.#heardAt = performance.now();
    const [ended, owner] = control ?? [null, ""];
    if (ended === "1" || owner === null) {
      if (offers.length > 0) this.#refuseJobs("is over");
      for (const listener of [...this.#listeners.values()]) listener.over();
      return;
    }
    // A run that is over can be put back into the store. Its controller cannot be forged.
    if (offers.length === 0 || performance.now() - this.#heardAt <= unansweredMs) return;
    this.#refuseJobs("has no controller that answers");
    for (const listener of [...this.#listeners.values()]) if (listener.offer() !== undefined) listener.over();
  }

  #refuseJobs(why: string): void {
    this.#context.refused("job");
    this.#context.say(`run ${this.run} ${why}: nothing was begun on hosts that its jobs name`);
  }
}

/** Runs that a worker has hosts of, by name. */
export class RunLinks {
  readonly #context: WorkerContext;
  readonly #links = new Map<string, Promise<RunLink>>();
  readonly #users = new Map<string, number>();

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** Use a run, which stays open while it is used. */
  async use<T>(run: string, work: (link: RunLink) => Promise<T>): Promise<T> {
    this.#users.set(run, (this.#users.get(run) ?? 0) + 1);
    try {
      let opening = this.#links.get(run);
      if (opening === undefined) {
        opening = RunLink.open(this.#context, run);
        this.#links.set(run, opening);
        opening.catch(() => this.#links.delete(run));
      }
      return await work(await opening);
    } finally {
      await this.#left(run);
    }
  }

  async #left(run: string): Promise<void> {
    this.#users.set(run, this.#users.get(run)! - 1);
    // The next host of the run comes at once, mostly.
    await sleep(0);
    if (this.#users.get(run) !== 0) return;
    const opened = this.#links.get(run);
    const link = await opened?.catch(() => undefined);
    await link?.sent();
    // Another host may have opened the run anew meanwhile, and left it.
    if (this.#users.get(run) !== 0 || this.#links.get(run) !== opened) return;
    this.#users.delete(run);
    this.#links.delete(run);
    link?.close();
  }
}
