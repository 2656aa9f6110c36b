import { setTimeout as pause } from "node:timers/promises";

const RETURN_MIN_MS = 100;
const RETURN_MAX_MS = 3_000;
/** A connection that has lasted so long was a real one, though nothing was said over it. */
const LASTING_MS = 10_000;

/** The time between losing a host and having it back. */
export class Absence {
  #since: number | undefined;
  #until = 0;
  #tries = 0;
  #loss: { readonly reason: string; readonly limitMs: number } | undefined;
  /** When it ended last, and nothing new has been heard since. */
  #endedAt: number | undefined;

  /** True from `begin` to `end`. */
  get going(): boolean {
    return this.#since !== undefined;
  }

  /** Milliseconds that are left; 0 when its time is up. */
  get remainingMs(): number {
    return this.#since === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(0, this.#until - performance.now());
  }

  /** Why it began, and how long it may last; undefined when it is not going on. */
  get loss(): { readonly reason: string; readonly limitMs: number } | undefined {
    return this.going ? this.#loss : undefined;
  }

  /** Begins unless it has; true when it does. A host that comes back only to go again gets no more time by it. */
  begin(limitMs: number, reason: string): boolean {
    if (this.#since !== undefined) return false;
    const now = performance.now();
    this.#since = now;
    this.#loss = { reason, limitMs };
    if (this.#endedAt === undefined || now - this.#endedAt > LASTING_MS) this.#until = now + limitMs;
    return true;
  }

  /** The host is back; gives how long it was away, in milliseconds, undefined when it was not. */
  end(): number | undefined {
    const since = this.#since;
    if (since === undefined) return undefined;
    this.#since = undefined;
    this.#endedAt = performance.now();
    return this.#endedAt - since;
  }

  /** The host has said something new: the next time it goes it is tried again at once. */
  progress(): void {
    this.#tries = 0;
    this.#endedAt = undefined;
  }

  /** Waits before another try, longer each time: none before the first. Fails when `signal` is aborted. */
  async pause(signal: AbortSignal): Promise<void> {
    const tries = this.#tries++;
    if (tries === 0) return;
    // Not all hosts of a rack at the same moment.
    const wait = Math.min(RETURN_MAX_MS, RETURN_MIN_MS * 2 ** (tries - 1)) * (0.5 + Math.random());
    await pause(Math.min(wait, this.remainingMs), undefined, { signal });
  }
}

/** Does something with a signal that is aborted when another is, or after so many milliseconds. */
export async function within<T>(
  limitMs: number | undefined,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const stop = (): void => limit.abort();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const timer = limitMs === undefined ? undefined : setTimeout(stop, limitMs);
  try {
    return await work(limit.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
