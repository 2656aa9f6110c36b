import type { TaskRef } from "../core/events.ts";
import type { Result } from "../core/result.ts";

// How tasks and plays end, and what ends them.

/** The end of a task's turn. */
export interface Ended {
  readonly ref: TaskRef;
  readonly result: Result;
  /** True for a task that was passed over, because the run starts at a later one, or by the person at the terminal. */
  readonly leftOut?: boolean;
}

/** The signals that end a run. */
export interface Ends {
  /** Aborted: end after the action now running. */
  readonly cancel: AbortSignal;
  /** Aborted: end the action now running, too. */
  readonly kill: AbortSignal;
}

/** The end of a play on this host. */
export interface PlayEnd {
  readonly failed: boolean;
  readonly cancelled: boolean;
  readonly notExecuted: number;
  /** Handlers, as `role:handler`, that were notified and have not run. */
  readonly pending: readonly string[];
}
