import { setMaxListeners } from "node:events";
import type { LimitFunction } from "p-limit";
import { VolleyError } from "../core/errors.ts";
import { MAX_TIMER_SECONDS } from "../core/options.ts";
import { EventQueue } from "../system/event-queue.ts";
import type { HostEnd, Results } from "./results.ts";

/**
 * Work on many hosts, which has begun. Iterate the results as they come; await them all, by host. A host that fails is a
 * result, not an error: the iterator and the promise reject only for what concerns all hosts, such as a secret that cannot
 * be had. Leaving the iteration early cancels what is not done yet.
 */
export interface Work<R extends HostEnd, All extends Results<R> = Results<R>>
  extends AsyncIterable<R>,
    PromiseLike<All> {
  /** Cancel: hosts that have not begun do not begin, and what goes on is ended. Their results say so. */
  cancel(): void;
  /** Await the results; rejects with a `HostsFailed` where a host has failed. */
  orThrow(): Promise<All>;
  catch<T>(onRejected: (reason: unknown) => T | PromiseLike<T>): Promise<All | T>;
  finally(onSettled: () => void): Promise<All>;
}

/** The parts of {@link startWork}. */
interface WorkOptions<H extends { readonly name: string }, R extends HostEnd, All extends Results<R>, P> {
  readonly hosts: readonly H[];
  readonly limit: LimitFunction;
  /** The caller's own signal, which cancels. */
  readonly signal: AbortSignal | undefined;
  readonly empty: All;
  /** Make what the hosts have in common, before any host begins. */
  prepare(signal: AbortSignal): Promise<P>;
  /** Do a host's part; rejects only for what ends the work on all hosts. */
  perHost(host: H, common: P, signal: AbortSignal): Promise<R>;
  /** Release what the hosts have in common. */
  release?(common: P): unknown;
}

/** Begin work on many hosts. */
export function startWork<H extends { readonly name: string }, R extends HostEnd, All extends Results<R>, P>(
  options: WorkOptions<H, R, All, P>,
): Work<R, All> {
  const { hosts, limit, signal, empty, prepare, perHost, release } = options;
  const queue = new EventQueue<R>();
  const ends = new AbortController();
  // Every piece of work listens to the caller's signal: that is no leak.
  setMaxListeners(0, ends.signal, ...(signal === undefined ? [] : [signal]));
  const cancel = (): void => ends.abort();
  if (signal?.aborted === true) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  const carryOut = async (): Promise<All> => {
    const common = await prepare(ends.signal);
    try {
      const parts = hosts.map((host) =>
        limit(async () => {
          const result = await perHost(host, common, ends.signal);
          queue.push(result);
          return result;
        }),
      );
      for (const part of parts) part.catch(cancel);
      const settled = await Promise.allSettled(parts);
      for (const [index, part] of settled.entries()) {
        if (part.status === "rejected") throw part.reason;
        empty.set(hosts[index]!.name, part.value);
      }
      return empty;
    } finally {
      await release?.(common);
    }
  };
  let failure: { readonly thrown: unknown } | undefined;
  const all = carryOut()
    .catch((thrown: unknown) => {
      failure = { thrown };
      throw thrown;
    })
    .finally(() => {
      signal?.removeEventListener("abort", cancel);
      queue.end();
    });
  // A caller that only iterates gets the error from the iterator.
  all.catch(() => {});
  return {
    cancel,
    // biome-ignore lint/suspicious/noThenProperty: awaited for all results, iterated for each
    then: (onFulfilled, onRejected) => all.then(onFulfilled, onRejected),
    catch: (onRejected) => all.catch(onRejected),
    finally: (onSettled) => all.finally(onSettled),
    orThrow: async () => (await all).orThrow(),
    async *[Symbol.asyncIterator]() {
      let isWhole = false;
      try {
        yield* queue;
        isWhole = true;
      } finally {
        if (!isWhole) {
          cancel();
          await all.catch(() => {});
        }
      }
      if (failure !== undefined) throw failure.thrown;
    },
  };
}

/** Check a time limit in milliseconds. Fails with `USAGE`: Node's timers would take a longer time for 1 ms. */
export function checkTimeout(timeoutMs: number | undefined): void {
  const mostMs = MAX_TIMER_SECONDS * 1_000;
  if (timeoutMs === undefined || (timeoutMs > 0 && timeoutMs <= mostMs)) return;
  const what = `timeoutMs must be a number of milliseconds above 0, ${mostMs} at most, not ${String(timeoutMs)}`;
  throw new VolleyError("USAGE", what);
}
