import { readFileSync } from "node:fs";
import type { Event } from "../../../src/core/events.ts";
import { until } from "../../lib/patience.ts";

/** Knows when hosts have read what they are told. */
export interface Told {
  /** Is shown every event of the run. */
  see(event: Event): void;
  /** Waits until the processes on the hosts have read what is sent to them from now on, at most a minute. */
  next(): Promise<void>;
}

/** Watches the processes that carry out a run on an embedded fleet: they are this machine's. */
export function watchTold(): Told {
  const pids = new Map<string, number>();
  return {
    see: (event) => {
      if (event.type === "hello") pids.set(event.host, event.pid);
    },
    next: async () => {
      const before = new Map([...pids.values()].map((pid) => [pid, bytesRead(pid)]));
      // Events may come late on a busy machine: the processes have then read it all before, and read nothing more.
      await until(() => [...before].every(([pid, bytes]) => bytesRead(pid) > bytes)).catch(() => {});
    },
  };
}

/** A process that has ended reads nothing more, and is not waited for. */
function bytesRead(pid: number): number {
  try {
    return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
