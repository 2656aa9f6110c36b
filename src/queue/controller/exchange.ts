import { setTimeout as sleep } from "node:timers/promises";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { OpenQueue, PartOptions } from "../../controller/queued/host-queue.ts";
import type { QueuedHost } from "../../controller/queued/queued-host.ts";
import { printable, type SerializedError, serializeError, VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import type { QueueConnections } from "../connect.ts";
import {
  type DownItem,
  type DownMessage,
  type LogBatch,
  NO_LABEL,
  openValue,
  PURPOSES,
  sealList,
  sealValue,
  takeItems,
  type UpItem,
  type UpMessage,
} from "../messages.ts";
import type { RunKeys } from "../names.ts";
import type { Seal } from "../seal.ts";
import { followStream, nextId, type StreamEntry } from "../streams.ts";
import { unlessAborted } from "../unless-aborted.ts";
import { isTransient, makeOwner, writeBatch } from "./commit.ts";
import { Hearing } from "./hearing.ts";
import { HostJobs } from "./host-jobs.ts";
import { type Holder, type PartLink, RemoteSession } from "./remote-session.ts";

/** Time between two signs of life of a controller. */
const BEAT_MS = 2_000;
/** Time until a batch is written again that was not taken. */
const RETRY_MS = 100;
/** Items of one message, at most. */
const ITEMS = 2_000;
/** Events of one batch of the log, at most. */
const EVENTS = 10_000;
/** Events that wait to be written, before more are read. */
const MANY_EVENTS = 2_000;
/** Time that the end of a run waits for a queue that is away. */
const CLOSING_MS = 5_000;

/** Options of an exchange. */
export interface ExchangeOptions {
  readonly run: string;
  readonly keys: RunKeys;
  readonly seal: Seal;
  /** For commands. */
  readonly redis: Redis;
  readonly server: Pick<QueueConnections, "away" | "onAway" | "onBack" | "explain">;
  /** For the stream of the workers' messages alone. */
  readonly reading: Redis;
  readonly hosts: readonly string[];
  /** Return BullMQ's queue of a label. */
  queueOf(label: string): Queue;
  /** Milliseconds of silence after which a worker's hosts go to other workers. */
  readonly silentMs: number;
  /** Milliseconds that the queue may be away before the run ends without it. */
  readonly awayMs: number;
  /** The state that an earlier controller has left. */
  readonly earlier?: EarlierExchange;
}

/** The state of a run whose controller is gone. */
export interface EarlierExchange {
  readonly number: number;
  readonly upTo: string;
  readonly held: ReadonlyMap<number, Holder>;
  readonly seen: ReadonlyMap<string, number>;
  /** Sequence number of the last event. */
  readonly lastEvent: number;
  /** Number of the last batch of the log. */
  readonly lastBatch: number;
}

/** A run's traffic between its controller and workers. */
export class Exchange implements Pick<OpenQueue, "session" | "listen" | "log"> {
  readonly #options: ExchangeOptions;
  readonly #owner: string;
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #sessions = new Map<number, RemoteSession>();
  readonly #hearing: Hearing;
  readonly #reading = new AbortController();
  #events: Event[] = [];
  #down: DownItem[] = [];
  #held = new Map<number, Holder | undefined>();
  #seen = new Map<string, number>();
  #emit: PartOptions["emit"] | undefined;
  #firstHost = "";
  #number: number;
  #upTo: string;
  #lastEvent: number;
  #lastBatch: number;
  #isCommitting = false;
  #isDirty = false;
  #committed: Promise<void> = Promise.resolve();
  #beat: NodeJS.Timeout | undefined;
  #awaySince: number | undefined;
  readonly #jobs: HostJobs;
  readonly #link: PartLink = {
    enqueue: (host) => this.#enqueue(host),
    send: (item) => this.#send(item),
    keep: (host, task, whole) => this.#keep(host, task, whole),
    hold: (host, holder) => this.#hold(host, holder),
  };
  /** The number of the last message to workers. */
  #lastDown = 0;
  #isBeatDue = false;
  #isListening = false;
  #isOver = false;
  #closedAt: number | undefined;
  /** True once the run in the store is no longer this controller's. */
  #isOut = false;
  /** When the batch was begun that is being written. */
  #committingSince: number | undefined;
  /** True while nobody can be heard: the store does not answer, or this process did not run. */
  #isDeaf = false;
  #tickedAt = performance.now();
  readonly #tickMs: number;
  /** Aborted once nothing more is written. */
  readonly #givenUp = new AbortController();
  /** Rejects once another controller has the run. */
  readonly replaced: Promise<never>;
  #replace!: (error: VolleyError) => void;
  readonly #unsubscribe: readonly (() => void)[];

  constructor(options: ExchangeOptions, owner = makeOwner()) {
    this.#options = options;
    this.#owner = owner;
    this.#indexes = new Map(options.hosts.map((name, index) => [name, index]));
    const { number = 0, upTo = "0", seen, lastEvent = 0, lastBatch = 0 } = options.earlier ?? {};
    this.#number = number;
    this.#upTo = upTo;
    this.#lastEvent = lastEvent;
    this.#lastBatch = lastBatch;
    this.#hearing = new Hearing(options.silentMs, seen);
    this.#jobs = new HostJobs({
      ...options,
      warn: (text) => this.#warn(text),
      isSilent: this.#hearing.isSilent,
    });
    const { server } = options;
    if (server.away.since !== undefined) this.#awaySince = performance.now();
    this.#unsubscribe = [
      server.onAway(() => {
        this.#awaySince = performance.now();
      }),
      server.onBack(() => this.#onBack()),
    ];
    this.replaced = new Promise((_resolve, reject) => {
      this.#replace = reject;
    });
    this.replaced.catch(() => {});
    this.#tickMs = Math.min(BEAT_MS, options.silentMs / 3);
    this.#beat = setInterval(() => this.#tick(), this.#tickMs);
  }

  /** Hear the workers, once there is a session for each host: a message for a host without one would be lost. */
  listen(): void {
    this.#isListening = true;
    this.#hearing.excuse(performance.now());
    const { reading, keys } = this.#options;
    void followStream(reading, keys.up, {
      after: this.#upTo,
      signal: this.#reading.signal,
      take: (entries) => this.#take(entries),
    }).catch((thrown: unknown) => this.#fail(serializeError(this.#options.server.explain(thrown))));
  }

  session(host: QueuedHost, options: PartOptions): RemoteSession {
    const index = this.#indexes.get(host.name)!;
    this.#emit ??= options.emit;
    this.#firstHost ||= host.name;
    const session = new RemoteSession(
      index,
      host,
      options,
      this.#link,
      this.#options.earlier?.held.get(index),
    );
    this.#sessions.set(index, session);
    if (host.label !== NO_LABEL) this.#jobs.join(index, host.label, session);
    return session;
  }

  #enqueue(index: number): void {
    if (!this.#jobs.has(index)) return this.#sessions.get(index)!.lose(LEFT);
    this.#jobs.add(index);
    this.#wake();
  }

  #send(item: DownItem): void {
    this.#down.push(item);
    this.#wake();
  }

  #keep(host: number, task: number, whole: string | undefined): void {
    const { run, keys, redis, seal } = this.#options;
    const sealed = sealValue(seal, PURPOSES.result(run, host, task), { whole });
    // Commands of one connection are carried out in their order: this one before the batch that follows.
    redis.hset(keys.results, `${host}:${task}`, sealed).catch(() => {});
  }

  #hold(host: number, holder: Holder | undefined): void {
    this.#held.set(host, holder);
    this.#wake();
  }

  log(event: Event): void {
    // An event of the controller before this one is in the log already.
    if (event.seq <= this.#lastEvent) return;
    this.#lastEvent = event.seq;
    this.#events.push(event);
    this.#wake();
  }

  /** End the traffic; returns whether the queue is there. */
  async close(): Promise<boolean> {
    this.#isOver = true;
    this.#closedAt = performance.now();
    this.#reading.abort();
    this.#wake();
    await this.#committed;
    clearInterval(this.#beat);
    for (const end of this.#unsubscribe) end();
    if (this.#awaySince !== undefined || this.#isOut) return false;
    await this.#jobs.remove();
    return true;
  }

  /* From the workers. */

  async #take(entries: readonly StreamEntry[]): Promise<void> {
    for (const { id, bytes } of entries) {
      this.#upTo = id;
      let message: UpMessage;
      try {
        message = openValue<UpMessage>(this.#options.seal, PURPOSES.up(this.#options.run), bytes);
      } catch (thrown) {
        this.#warn(`an event in the queue was refused: ${(thrown as Error).message}`);
        continue;
      }
      this.#message(message);
    }
    this.#wake();
    // The store holds the rest meanwhile, and not this process.
    if (this.#events.length > MANY_EVENTS) await this.#committed;
  }

  #message(message: UpMessage): void {
    const { isNew, wasSilent, missing } = this.#hearing.take(message, (text) => this.#warn(text));
    if (!isNew) return;
    const { session, worker, number, items } = message;
    if (missing > 0) for (const part of this.#heldBy(session)) part.missed(this.#hearing.isSilent);
    this.#seen.set(session, number);
    if (wasSilent) for (const part of this.#heldBy(session)) part.heard();
    for (const item of items) this.#item(item, session, worker);
  }

  #item(item: UpItem, session: string, name: string): void {
    if (item.type === "refused")
      return this.#warn(`worker ${printable(name, 64)}: ${printable(item.text, 500)}`);
    const part = this.#sessions.get(item.host);
    if (part === undefined) return;
    switch (item.type) {
      case "offer":
        if (part.offer(item.token, session, this.#hearing.isSilent) === "again")
          this.#warn(
            `worker ${printable(name, 64)} was brought ${part.host} again, whose part is over: nothing was begun`,
          );
        return;
      case "back":
        return part.back(item.token, this.#hearing.isSilent);
      default:
        return part.take(item);
    }
  }

  *#heldBy(session: string): Generator<RemoteSession> {
    for (const part of this.#sessions.values())
      if (!part.isOver && part.holder?.session === session) yield part;
  }

  get #hasGivenUp(): boolean {
    return this.#givenUp.signal.aborted;
  }

  #tick(): void {
    const now = performance.now();
    const { awayMs } = this.#options;
    // The process, or its machine, was stopped: what workers have said meanwhile is still to be read.
    const hasSlept = now - this.#tickedAt > 3 * this.#tickMs;
    this.#tickedAt = now;
    if (this.#awaySince !== undefined) {
      if (now - this.#awaySince > awayMs)
        this.#fail({
          code: "QUEUE_FAILED",
          message: `the queue has been away for ${Math.round(awayMs / 1_000)} s: its workers may have gone on with this host`,
        });
      if (this.#closedAt !== undefined && now - Math.max(this.#closedAt, this.#awaySince) > CLOSING_MS)
        this.#givenUp.abort();
      return;
    }
    const isSlow = now - (this.#committingSince ?? now) > 2 * this.#tickMs;
    if (hasSlept || isSlow) {
      this.#isDeaf = true;
      if (!isSlow) this.#wakeForBeat();
      return;
    }
    if (!this.#isListening) return this.#wakeForBeat();
    if (this.#isDeaf) this.#hearing.excuse(now);
    this.#isDeaf = false;
    this.#endSilence(now);
    this.#jobs.look(now);
    this.#wakeForBeat();
  }

  /** Give the hosts of silent workers to others. A long run has many workers that are gone: each host is looked at once. */
  #endSilence(now: number): void {
    const silent = this.#hearing.silent(now);
    if (silent.size === 0) return;
    for (const part of this.#sessions.values()) {
      const name = part.isOver || part.holder === undefined ? undefined : silent.get(part.holder.session);
      if (name !== undefined) part.silent(name, this.#hearing.isSilent);
    }
  }

  /** Give a sign of life, even where there is nothing to say. */
  #wakeForBeat(): void {
    this.#isBeatDue = true;
    this.#wake();
    this.#isDirty = true;
  }

  #onBack(): void {
    this.#awaySince = undefined;
    this.#hearing.excuse(performance.now());
    this.#wake();
  }

  #warn(text: string): void {
    this.#emit?.({ type: "log", host: this.#firstHost, level: "warn", text });
  }

  /** Go on without the queue, which ends all that is not over. */
  #fail(error: SerializedError): void {
    this.#givenUp.abort();
    if (this.#isOver) return;
    this.#isOver = true;
    for (const part of this.#sessions.values()) part.lose(error);
  }

  /* To the workers, and to the log. */

  #wake(): void {
    if (this.#isCommitting) {
      this.#isDirty = true;
      return;
    }
    this.#isCommitting = true;
    this.#committed = this.#commitAll().finally(() => {
      this.#isCommitting = false;
    });
  }

  async #commitAll(): Promise<void> {
    // All that one turn of the event loop brings goes together.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (!this.#hasGivenUp) {
      this.#isDirty = false;
      try {
        this.#committingSince = performance.now();
        await unlessAborted(
          this.#givenUp.signal,
          this.#written(() => this.#jobs.write()).then(() => this.#commit()),
        );
        this.#committingSince = undefined;
      } catch (thrown) {
        // The server forbids or refuses it: that would not be otherwise a second time.
        this.#fail(serializeError(this.#options.server.explain(thrown)));
        return;
      }
      if (!this.#isDirty && !this.#hasMore()) return;
    }
  }

  #hasMore(): boolean {
    return this.#jobs.isWaiting || this.#events.length + this.#down.length > 0;
  }

  async #commit(): Promise<void> {
    const { run, keys, seal, redis } = this.#options;
    const events = this.#events;
    const items = takeItems(this.#down, ITEMS);
    const held = this.#held;
    const seen = this.#seen;
    const upTo = this.#upTo;
    this.#events = [];
    this.#held = new Map();
    this.#seen = new Map();
    const number = ++this.#number;
    const isLogged = events.length + held.size + seen.size > 0;
    const log = isLogged ? this.#sealLog(events, { upTo, held, seen }) : [];
    const isTold = items.length > 0 || this.#isBeatDue;
    const down: Omit<DownMessage, "items"> = { number, after: this.#lastDown, logged: this.#lastBatch };
    this.#isBeatDue = false;
    if (isTold) this.#lastDown = number;
    const told = isTold ? sealList(seal, PURPOSES.down(run), down, "items", items) : undefined;
    const written = await this.#written(() =>
      writeBatch(redis, keys, {
        ...{ owner: this.#owner, number, log, down: told },
        taken: isLogged ? nextId(upTo) : undefined,
      }),
    );
    if (written === undefined || written === "written") return;
    this.#isOut = true;
    clearInterval(this.#beat);
    this.#reading.abort();
    if (written === "ahead")
      throw new VolleyError(
        "QUEUE_REFUSED",
        "the account of this run in the queue was changed by somebody else: its workers may have gone on",
      );
    if (written === "gone")
      throw new VolleyError(
        "QUEUE_FAILED",
        "the queue has lost the run: its workers may have gone on with this host",
        {
          hint: "docs/queue.md has the settings with which a server keeps what it has",
        },
      );
    this.#isOver = true;
    const error = new VolleyError(
      "QUEUE_FAILED",
      "another controller has taken this run over, and this one ends",
      {
        hint: `volley attach --queue … ${run} shows the run`,
      },
    );
    this.#replace(error);
    throw error;
  }

  /** Seal what is to be logged at once, as one batch or several. */
  #sealLog(
    events: Event[],
    {
      upTo,
      held,
      seen,
    }: Pick<LogBatch, "upTo"> & {
      readonly held: ReadonlyMap<number, Holder | undefined>;
      readonly seen: ReadonlyMap<string, number>;
    },
  ): readonly Buffer[] {
    const rest: Omit<LogBatch, "number" | "events"> = {
      upTo,
      held: [...held].map(([host, holder]) =>
        holder === undefined ? [host] : [host, holder.token, holder.session],
      ),
      seen: Object.fromEntries(seen),
    };
    const { run, seal } = this.#options;
    const batches: Buffer[] = [];
    do {
      const head = { number: ++this.#lastBatch, ...rest };
      batches.push(sealList(seal, PURPOSES.log(run), head, "events", takeItems(events, EVENTS)));
    } while (events.length > 0);
    return batches;
  }

  /** Write, again where the connection was lost before the answer came, or where the server has had no room. */
  async #written<T>(write: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await write();
      } catch (thrown) {
        if (this.#hasGivenUp) return undefined;
        if (this.#options.server.away.since === undefined && !isTransient(thrown)) throw thrown;
        await sleep(RETRY_MS);
      }
    }
  }
}

/** The end of a host that an earlier controller worked on itself. */
const LEFT: SerializedError = {
  code: "CONNECTION_LOST",
  message: "the controller that worked on this host is gone",
};
