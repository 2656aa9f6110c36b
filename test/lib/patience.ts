import { expect, vi } from "vitest";

/** How long tests wait for what is sure to come: machines that run tests are busy with much else. */
export const PATIENCE_MS = 60_000;

/** For `vi.waitFor`, whose own limit is one second. */
export const PATIENT = { timeout: PATIENCE_MS, interval: 20 } as const;

/** Waits until something holds; fails when it never does. */
export async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(holds()).toBe(true), PATIENT);
}

/**
 * Tries something under a limit of seconds that must not end before it has got to a certain point: the attempt gives
 * undefined when the limit came first, as on a machine busy with much else, and is made again under a longer one.
 */
export async function underLimit<T>(
  seconds: number,
  attempt: (seconds: number) => Promise<T | undefined>,
): Promise<T> {
  for (let limit = seconds; limit * 1_000 < PATIENCE_MS; limit *= 4) {
    const outcome = await attempt(limit);
    if (outcome !== undefined) return outcome;
  }
  throw new Error(`not even a limit of about ${PATIENCE_MS / 4_000} s was long enough`);
}
