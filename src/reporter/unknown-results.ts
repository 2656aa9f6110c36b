import type { Event } from "../core/events.ts";

/** Counts, per host, the results that check mode could not know. */
export interface UnknownResults {
  add(event: Event): void;
  readonly counts: ReadonlyMap<string, number>;
}

/** Starts counting. */
export function countUnknownResults(): UnknownResults {
  const counts = new Map<string, number>();
  return {
    counts,
    add(event) {
      if (event.type !== "task:end" || event.result.unknown !== true) return;
      counts.set(event.host, (counts.get(event.host) ?? 0) + 1);
    },
  };
}
