import { setMaxListeners } from "node:events";
import { VolleyError } from "../core/errors.ts";
import type { Event, Summary } from "../core/events.ts";
import { watchEventLoop } from "../system/this-process.ts";
import { EventQueue } from "./event-queue.ts";
import { createHostRuns } from "./host-runs.ts";
import { DEFAULTS, type Run, type RunOptions } from "./prepare/options.ts";
import { prepareRun } from "./prepare/prepare.ts";
import { openTransports } from "./prepare/transports.ts";
import { beginRecord } from "./records/recorder.ts";
import { schedule } from "./schedule/schedule.ts";

/** Starts a run. */
export function run(options: RunOptions): Run {
  const queue = new EventQueue<Event>();
  const clean = new AbortController();
  const now = new AbortController();
  // Every host listens to it.
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
  // Those who only iterate get the error from the iterator.
  summary.catch(() => {});
  return {
    get summary() {
      // Who iterates as well does so at once: a long run's events would fill the memory for nobody.
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

/** What a run is carried out with. */
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
  // Before the first event, because it may ask something.
  const transports = await openTransports(hosts, options, now).catch((thrown: unknown) => {
    throw prepared.hideSecrets(thrown);
  });
  const record = beginRecord(options, cwd, prepared, (event) => queue.push(event));
  const { id, emit, finish } = record;
  starved.catch(record.save);
  for (const { host, text } of transports.notes) emit({ type: "log", host, level: "notice", text });
  for (const { host, text } of warnings) emit({ type: "log", host, level: "warn", text });
  const { runs, once, forget } = createHostRuns(options, prepared, record, { transports, now });
  const onClean = (): void => {
    emit({ type: "run:cancel", how: "clean" });
    for (const session of runs.values()) session.cancel();
  };
  const onNow = (): void => {
    emit({ type: "run:cancel", how: "now" });
    for (const session of runs.values()) session.kill();
  };
  clean.addEventListener("abort", onClean, { once: true });
  now.addEventListener("abort", onNow, { once: true });
  if (clean.aborted) onClean();
  try {
    await schedule(plays, runs, {
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
