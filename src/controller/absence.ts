import { setTimeout as pause } from "node:timers/promises";

const RETURN_MIN_MS = 100;
const RETURN_MAX_MS = 3_000;

/** The time between losing a host and having it back. */
export class Absence {
  #since: number | undefined;
  #until = 0;
  #tries = 0;

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

  /** Begins unless it has; true when it does. */
  begin(limitMs: number): boolean {
    if (this.#since !== undefined) return false;
    this.#since = performance.now();
    this.#until = this.#since + limitMs;
    return true;
  }

  /** The host is back; gives how long it was away, in milliseconds, undefined when it was not. */
  end(): number | undefined {
    const since = this.#since;
    this.#since = undefined;
    return since === undefined ? undefined : performance.now() - since;
  }

  /** The host has said something new: the next time it goes it is tried again at once. */
  progress(): void {
    this.#tries = 0;
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
