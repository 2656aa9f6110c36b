import type { TargetEvent } from "../core/events.ts";

/** Sees that a host's part of a run goes on, by its tasks and by what it waits for. */
export interface IdleWatch {
  /** Take notice of an event. */
  see(event: TargetEvent): void;
  /** Take a promise for work until it settles. */
  during<T>(work: Promise<T>): Promise<T>;
  close(): void;
}

const IDLE_MS = 60_000;

/**
 * Begin to watch. `tell` is called each time that neither a task nor other work has gone on for `idleMs`: then a role's
 * code waits. On a host, a process whose code waits for nothing ends (agent/wire.ts). Here, the connections of all hosts
 * keep the process, and nobody can tell such code from code that waits for an answer.
 */
export function watchIdleness(tell: (text: string) => void, idleMs = IDLE_MS): IdleWatch {
  const tasks = new Set<number>();
  let works = 0;
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    clearTimeout(timer);
    if (tasks.size + works > 0) return;
    timer = setTimeout(() => {
      tell(
        `no task has run for ${idleMs / 1_000} s: the code of a role waits for something else (a promise that nobody keeps? Ctrl-C ends the run)`,
      );
    }, idleMs).unref();
  };
  watch();
  return {
    see: (event) => {
      if (event.type === "task:start") tasks.add(event.task);
      else if (event.type === "task:end") tasks.delete(event.task);
      else return;
      watch();
    },
    during: async (work) => {
      works++;
      watch();
      try {
        return await work;
      } finally {
        works--;
        watch();
      }
    },
    close: () => {
      // No end of work begins anew.
      works = Number.POSITIVE_INFINITY;
      clearTimeout(timer);
    },
  };
}
