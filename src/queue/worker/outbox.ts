import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { encodeLine } from "../../core/protocol.ts";
import { PURPOSES, sealList, type UpItem, type UpMessage } from "../messages.ts";
import { MAX_PLAIN, type Seal } from "../seal.ts";
import { FIELD } from "../streams.ts";

/** Characters of one message, unless one item alone has more. */
const MESSAGE_LENGTH = 256 * 1_024;
const RETRY_MS = 200;
/** Default of {@link OutboxOptions.maxWaiting}. */
const MAX_WAITING = 64 * 1_024 * 1_024;

/** Options of an outbox. */
export interface OutboxOptions {
  readonly run: string;
  readonly stream: string;
  readonly redis: Redis;
  readonly seal: Seal;
  /** The outbox's own name, at random: its messages are counted from 1. */
  readonly session: string;
  readonly worker: string;
  /** Characters that may wait for the store, before parts are handed back. Default 64 Mi. */
  readonly maxWaiting?: number | undefined;
}

/** A line that has not been written. */
interface WaitingItem {
  /** The part that it is about, if any. */
  readonly token: string | undefined;
  readonly line: string;
}

/** Sends the items of a worker to the controller of a run: in order, numbered, and again until the server has them. */
export class Outbox {
  readonly #options: OutboxOptions;
  #items: WaitingItem[] = [];
  #waiting = 0;
  #isBeatDue = false;
  #number = 0;
  #isClosed = false;
  #sending: Promise<void> | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Send an item. A whole result that no message has room for is left out. */
  send(item: UpItem): void {
    if (this.#isClosed) return;
    const line = encodeLine(item).trimEnd();
    // JSON in JSON is up to twice as long as the host's own message.
    if (item.type === "keep" && item.whole !== undefined && isTooLong(line))
      return this.send({ ...item, whole: undefined });
    this.#items.push({ token: "token" in item ? item.token : undefined, line });
    this.#waiting += line.length;
    this.#sending ??= this.#sendAll();
  }

  /** True while more waits for the store than this process is to hold. */
  get isFull(): boolean {
    return this.#waiting > (this.#options.maxWaiting ?? MAX_WAITING);
  }

  /** Forget the items about a part that were not sent. */
  drop(token: string): void {
    this.#items = this.#items.filter((item) => item.token !== token);
    this.#waiting = this.#items.reduce((sum, { line }) => sum + line.length, 0);
  }

  /** Send a sign of life, and these items. */
  beat(items: readonly UpItem[]): void {
    if (this.#isClosed) return;
    for (const item of items) this.send(item);
    this.#isBeatDue = true;
    this.#sending ??= this.#sendAll();
  }

  /** Resolve once all that was sent so far is in the store, or the outbox was closed. */
  async sent(): Promise<void> {
    while (this.#sending !== undefined) await this.#sending;
  }

  /** Send no more, and forget all items that were not sent. */
  close(): void {
    this.#isClosed = true;
    this.#items = [];
    this.#waiting = 0;
    this.#isBeatDue = false;
  }

  async #sendAll(): Promise<void> {
    do {
      // All that one turn of the event loop brings goes together.
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#isBeatDue = false;
      await this.#write(this.#take());
    } while (this.#items.length > 0 || this.#isBeatDue);
    this.#sending = undefined;
  }

  #take(): readonly string[] {
    let length = 0;
    let count = 0;
    for (const { line } of this.#items) {
      if (count > 0 && length + line.length > MESSAGE_LENGTH) break;
      length += line.length;
      count++;
    }
    this.#waiting -= length;
    return this.#items.splice(0, count).map(({ line }) => line);
  }

  async #write(items: readonly string[]): Promise<void> {
    const { run, stream, redis, seal, session, worker } = this.#options;
    const head: Omit<UpMessage, "items"> = { session, worker, number: ++this.#number };
    const sealed = sealList(seal, PURPOSES.up(run), head, "items", items);
    while (!this.#isClosed) {
      try {
        await redis.xadd(stream, "*", FIELD, sealed);
        return;
      } catch {
        // The server is away, or forbids it for now. Sent twice, a message counts once, by its number.
        await sleep(RETRY_MS);
      }
    }
  }
}

/** Return whether no message has room for a line. */
function isTooLong(line: string): boolean {
  const limit = MAX_PLAIN - MESSAGE_LENGTH;
  return line.length > limit / 3 && Buffer.byteLength(line) > limit;
}
