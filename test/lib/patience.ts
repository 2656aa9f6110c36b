import { expect, vi } from "vitest";

/** How long tests wait for what is sure to come: machines that run tests are busy with much else. */
export const PATIENCE_MS = 60_000;

/** For `vi.waitFor`, whose own limit is one second. */
export const PATIENT = { timeout: PATIENCE_MS, interval: 20 } as const;

/** Waits until something holds; fails when it never does. */
export async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(holds()).toBe(true), PATIENT);
}
