import { setMaxListeners } from "node:events";
import { isBundleFile } from "../core/bundle.ts";
import type { Event, Summary } from "../core/events.ts";
import { EventQueue } from "../system/event-queue.ts";
import { watchEventLoop } from "../system/this-process.ts";
import { fileOf, type RunOptions } from "./prepare/options.ts";
import { type Prepared, prepare } from "./prepare/prepare.ts";
import { type HostQueue, type OpenQueue, workerOptions } from "./queued/host-queue.ts";
import { recall } from "./records/recall.ts";
import { openRecorder } from "./records/recorder.ts";
import { schedule } from "./schedule/schedule.ts";
import { openSessions } from "./schedule/sessions.ts";

/**
 * A run: iterate its events, await its summary. Events are kept for an iterator from the first one on. Once the summary
 * is asked for and nothing iterates, or the iterator has returned, events are kept no longer.
 */
export interface Run extends AsyncIterable<Event> {
  /** Rejects for whatever is wrong before anything is started on a host, and with `STARVED` when the event loop ran dry. */
  readonly summary: Promise<Summary>;
  /** Cancel: hosts end after the action they are at. Called again, they end now. */
  cancel(): void;
}

/** Start a run. `from`: a queue whose workers carry the hosts' parts out; default: the hosts are reached from here. */
export function run(given: RunOptions, from?: HostQueue): Run {
  const options = from === undefined ? given : { ...given, queue: from };
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
  const carriedOut = carryOut(options, from, {
    push: (event) => queue.push(event),
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
      // A caller that also iterates begins at once; for others a long run's events would fill the memory.
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

interface Course {
  push(event: Event): void;
  /** Rejects when the event loop ran dry. */
  readonly starved: Promise<never>;
  readonly clean: AbortSignal;
  readonly now: AbortSignal;
}

/** Take a run's path: prepare, schedule the hosts' sessions, record their events, sum up. */
async function carryOut(
  options: RunOptions,
  from: HostQueue | undefined,
  { push, starved, clean, now }: Course,
): Promise<Summary> {
  const isCarried = options.local === true && isBundleFile(fileOf(options));
  const { plan, transports, queue }: HandedOver =
    from !== undefined && options.attach !== undefined
      ? await takeOver(from, options.attach, options)
      : isCarried
        ? (await import("./prepare/carried.ts")).prepareCarried(options)
        : await prepare(options, { clean, now }).then((prepared) => handOver(prepared, from, options));
  const recorder = openRecorder(plan, (event) => {
    queue?.log(event);
    push(event);
  });
  starved.catch(recorder.save);
  const earlier = await recall(plan.attached?.events ?? [], recorder.replay);
  recorder.begin();
  const sessions = openSessions(plan, recorder, { earlier, now, queue });
  queue?.listen();
  const onClean = (): void => {
    recorder.emit({ type: "run:cancel", how: "clean" });
    for (const session of sessions.byHost.values()) session.cancel();
  };
  const onNow = (): void => {
    recorder.emit({ type: "run:cancel", how: "now" });
    for (const session of sessions.byHost.values()) session.kill();
  };
  clean.addEventListener("abort", onClean, { once: true });
  now.addEventListener("abort", onNow, { once: true });
  if (clean.aborted) onClean();
  try {
    const scheduled = schedule(plan, sessions, recorder.emit);
    await (queue === undefined ? scheduled : Promise.race([scheduled, queue.replaced]));
  } finally {
    clean.removeEventListener("abort", onClean);
    now.removeEventListener("abort", onNow);
    transports.close();
  }
  const summary = recorder.finish();
  await queue?.close();
  sessions.forget();
  return summary;
}

/** A plan, and the queue that has the jobs of its hosts. */
interface HandedOver extends Prepared {
  readonly queue?: OpenQueue | undefined;
}

/** Hand a plan to a queue, if there is one. */
async function handOver(
  prepared: Prepared,
  to: HostQueue | undefined,
  options: RunOptions,
): Promise<HandedOver> {
  try {
    return { ...prepared, queue: await to?.open(prepared.plan, workerOptions(options)) };
  } catch (thrown) {
    prepared.transports.close();
    throw thrown;
  }
}

/** Take a run over that another controller has handed to a queue. */
async function takeOver(from: HostQueue, run: string, options: RunOptions): Promise<HandedOver> {
  return { ...(await from.reopen(run, options)), transports: { close: () => {} } };
}
