import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { encodeLine } from "../../core/protocol.ts";
import { PURPOSES, type UpItem, type UpMessage } from "../messages.ts";
import type { Seal } from "../seal.ts";
import { FIELD } from "../streams.ts";

/** Characters of one message, unless one item alone has more. */
const MESSAGE_LENGTH = 256 * 1_024;
const RETRY_MS = 200;

/** Options of an outbox. */
export interface OutboxOptions {
  readonly run: string;
  readonly stream: string;
  readonly redis: Redis;
  readonly seal: Seal;
  /** The worker's process, and its name. */
  readonly session: string;
  readonly worker: string;
}

/** Sends what a worker has to tell the controller of a run: in order, numbered, and for as long as it takes. */
export class Outbox {
  readonly #options: OutboxOptions;
  #items: string[] = [];
  #isBeatDue = false;
  #number = 0;
  #isClosed = false;
  #sending: Promise<void> | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  send(item: UpItem): void {
    if (this.#isClosed) return;
    this.#items.push(encodeLine(item).trimEnd());
    this.#sending ??= this.#sendAll();
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

  /** Send no more, and forget what was not sent. */
  close(): void {
    this.#isClosed = true;
    this.#items = [];
    this.#isBeatDue = false;
  }

  async #sendAll(): Promise<void> {
    do {
      // What one turn of the event loop brings goes together.
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#isBeatDue = false;
      await this.#write(this.#take());
    } while (this.#items.length > 0 || this.#isBeatDue);
    this.#sending = undefined;
  }

  #take(): readonly string[] {
    let length = 0;
    let count = 0;
    for (const item of this.#items) {
      length += item.length;
      if (count > 0 && length > MESSAGE_LENGTH) break;
      count++;
    }
    return this.#items.splice(0, count);
  }

  async #write(items: readonly string[]): Promise<void> {
    const { run, stream, redis, seal, session, worker } = this.#options;
    const head: Omit<UpMessage, "items"> = { session, worker, number: ++this.#number };
    const text = `${JSON.stringify(head).slice(0, -1)},"items":[${items.join(",")}]}`;
    const sealed = seal.seal(PURPOSES.up(run), Buffer.from(text));
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
