import { setMaxListeners } from "node:events";
import { VolleyError } from "../core/errors.ts";
import type { Event, Summary } from "../core/events.ts";
import { watchEventLoop } from "../system/this-process.ts";
import { DEFAULTS, type Run, type RunOptions } from "./prepare/options.ts";
import { prepareRun } from "./prepare/prepare.ts";
import { openTransports } from "./prepare/transports.ts";
import { beginRecord } from "./records/recorder.ts";
import { schedule } from "./schedule/schedule.ts";
import { openSessions } from "./sessions.ts";

/** Start a run. */
export function run(options: RunOptions): Run {
  const queue = new EventQueue<Event>();
  const clean = new AbortController();
  const now = new AbortController();
  // Every connection listens to it.
  setMaxListeners(0, now.signal);
  const cancel = (): void => {
    if (clean.signal.aborted) now.abort();
    else clean.abort();
  };
  if (options.signal?.aborted === true) cancel();
  options.signal?.addEventListener("abort", cancel, { once: true });
  let failure: unknown;
  const watch = watchEventLoop("the run");
  const carriedOut = carryOut(options, {
    queue,
    starved: watch.starved,
    clean: clean.signal,
    now: now.signal,
  });
  const summary = Promise.race([carriedOut, watch.starved])
    .catch((thrown: unknown) => {
      failure = thrown;
      throw thrown;
    })
    .finally(() => {
      watch.close();
      options.signal?.removeEventListener("abort", cancel);
      queue.end();
    });
  // A caller that only iterates gets the error from the iterator.
  summary.catch(() => {});
  return {
    get summary() {
      // A caller that wants the events too iterates at once. Otherwise, a long run's events would fill the memory.
      setImmediate(() => queue.forget());
      return summary;
    },
    cancel,
    async *[Symbol.asyncIterator]() {
      yield* queue;
      if (failure !== undefined) throw failure;
    },
  };
}

/** The signals of a run, and where its events go. */
interface Course {
  readonly queue: EventQueue<Event>;
  readonly starved: Promise<never>;
  readonly clean: AbortSignal;
  readonly now: AbortSignal;
}

async function carryOut(options: RunOptions, { queue, starved, clean, now }: Course): Promise<Summary> {
  const cwd = options.cwd ?? process.cwd();
  const concurrency = options.concurrency ?? DEFAULTS.concurrency;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new VolleyError(
      "USAGE",
      `concurrency must be a whole number of 1 or more, not ${String(concurrency)}`,
    );
  }
  const prepared = await prepareRun(options, { cwd, signal: clean });
  const { plays, hosts, warnings } = prepared.plan;
  // Transports may ask for passphrases and host keys, which must not mix with events on the screen.
  const transports = await openTransports(hosts, options, now).catch((thrown: unknown) => {
    throw prepared.hideSecrets(thrown);
  });
  const record = beginRecord(options, cwd, prepared, (event) => queue.push(event));
  const { id, emit, finish } = record;
  starved.catch(record.save);
  for (const { host, text } of transports.notes) emit({ type: "log", host, level: "notice", text });
  for (const { host, text } of warnings) emit({ type: "log", host, level: "warn", text });
  const { sessions, once, forget } = openSessions(options, prepared, record, { transports, now });
  const onClean = (): void => {
    emit({ type: "run:cancel", how: "clean" });
    for (const session of sessions.values()) session.cancel();
  };
  const onNow = (): void => {
    emit({ type: "run:cancel", how: "now" });
    for (const session of sessions.values()) session.kill();
  };
  clean.addEventListener("abort", onClean, { once: true });
  now.addEventListener("abort", onNow, { once: true });
  if (clean.aborted) onClean();
  try {
    await schedule(plays, sessions, {
      concurrency,
      seed: options.seed ?? id,
      limits: { playMs: options.hostTimeoutMs, graceMs: options.graceMs ?? DEFAULTS.graceMs },
      once,
      emit,
    });
  } finally {
    clean.removeEventListener("abort", onClean);
    now.removeEventListener("abort", onNow);
    transports.close();
  }
  const summary = finish();
  forget();
  return summary;
}

/** A queue of values that are pushed on one side and iterated on the other. Values are kept while a reader may come. */
export class EventQueue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  /** Number of iterators. */
  #readers = 0;
  #wanted = true;

  push(value: T): void {
    if (!this.#wanted) return;
    this.#values.push(value);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Keep no more values, unless a reader iterates already. */
  forget(): void {
    if (this.#readers > 0) return;
    this.#wanted = false;
    this.#values = [];
  }

  /** Iterate over the kept values, then over new ones. After an iteration that ends early, no more values are kept. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.#readers++;
    this.#wanted = true;
    return this.#iterate();
  }

  async *#iterate(): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        const values = this.#values;
        this.#values = [];
        yield* values;
        if (this.#values.length > 0) continue;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#readers--;
      this.forget();
    }
  }
}
