import type { Socket } from "node:net";

/** What may wait on a line: for its time to come, or for a receiver that does not read. */
const MAX_DELAYED_BYTES = 64 << 20;
const MAX_UNREAD_BYTES = 256 << 10;

/** Timers fire up to a millisecond late: what is due sooner than this goes at once, so that errors cancel out. */
const EARLY_MS = 0.5;

/** How a {@link DelayLine} carries. */
export interface DelayLineOptions {
  /** From when bytes arrive to when they are passed on, in milliseconds; 0: at once. */
  readonly delayMs: number;
  /** Nothing counts as having arrived before, by `performance.now()`. */
  readonly notBeforeMs?: number;
  /** Called as bytes arrive. */
  readonly onBytes?: (count: number) => void;
}

/**
 * One direction of a connection, later by a fixed time. Each chunk waits for itself, so that as many as are under way at
 * once arrive as fast as they were sent: a delay, and no limit on throughput but what the receiver takes.
 */
export class DelayLine {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #options: DelayLineOptions;
  #queue: { readonly dueMs: number; readonly chunk: Buffer | null }[] = [];
  /** Place of the first one still waiting. */
  #head = 0;
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #blocked = false;

  constructor(source: Socket, sink: Socket, options: DelayLineOptions) {
    this.#source = source;
    this.#sink = sink;
    this.#options = options;
    source.on("data", (chunk) => this.#take(Buffer.from(chunk)));
    source.once("end", () => this.#enqueue(null));
    const unblock = (): void => {
      this.#blocked = false;
      this.#release();
    };
    this.#blocked = sink.pending;
    if (sink.pending) sink.once("connect", unblock);
    sink.on("drain", unblock);
  }

  /** Bytes that have arrived and not been passed on. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Drops what is still waiting. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#head = 0;
    this.#waitingBytes = 0;
  }

  #take(chunk: Buffer): void {
    this.#options.onBytes?.(chunk.length);
    this.#waitingBytes += chunk.length;
    this.#enqueue(chunk);
    if (this.#waitingBytes > this.#limitBytes) this.#source.pause();
  }

  #enqueue(chunk: Buffer | null): void {
    const { delayMs, notBeforeMs = 0 } = this.#options;
    this.#queue.push({ dueMs: Math.max(performance.now(), notBeforeMs) + delayMs, chunk });
    if (this.#timer === undefined) this.#release();
  }

  get #limitBytes(): number {
    return this.#options.delayMs > 0 ? MAX_DELAYED_BYTES : MAX_UNREAD_BYTES;
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = performance.now();
    let next = this.#queue[this.#head];
    while (next !== undefined && !this.#blocked && next.dueMs <= nowMs + EARLY_MS) {
      this.#head++;
      if (next.chunk === null) this.#sink.end();
      else {
        this.#waitingBytes -= next.chunk.length;
        this.#blocked = !this.#sink.write(next.chunk);
      }
      next = this.#queue[this.#head];
    }
    // What has gone is kept no longer, without moving the rest each time.
    if (next === undefined || this.#head > 1_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (this.#source.isPaused() && this.#waitingBytes < this.#limitBytes / 2) this.#source.resume();
    if (next !== undefined && !this.#blocked)
      this.#timer = setTimeout(() => this.#release(), Math.max(1, next.dueMs - nowMs));
  }
}
