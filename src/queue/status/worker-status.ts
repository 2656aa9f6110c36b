import type { Outcome } from "../../core/events.ts";

/** A worker's own account of itself, as other processes see it. Times are in ms since 1970. */
export interface WorkerStatus {
  /** The worker's process, at random: letters, digits, `_` and `-`. */
  readonly id: string;
  readonly name: string;
  readonly labels: readonly string[];
  /** The version of Volley. */
  readonly version: string;
  readonly pid: number;
  /** The name of the worker's machine. */
  readonly machine: string;
  readonly startedAt: number;
  /** The time of this account, by the worker's clock. */
  readonly at: number;
  /** Hosts at a time, at most. */
  readonly concurrency: number;
  /** Hosts that wait for the controller's grant. */
  readonly offered: number;
  /** Hosts whose part the worker carries out, with those that wait. */
  readonly inFlight: number;
  /** Hosts in flight that wait at a barrier. */
  readonly waiting: number;
  /** Hosts whose part has ended, whatever its outcome. */
  readonly done: number;
  /** Hosts that have failed, were not reached, or were lost. */
  readonly failed: number;
  /** Hosts that were left to other workers. */
  readonly handedBack: number;
  /** Jobs and messages that were refused. */
  readonly refused: number;
  /** Hosts whose part has ended within the last minute. */
  readonly ratePerMinute: number;
  /** Memory of the process. */
  readonly rssBytes: number;
  /** True once the worker takes no more hosts. */
  readonly isStopping: boolean;
  /** True while the queue's server does not answer. */
  readonly isQueueAway: boolean;
  /** Runs with hosts in flight here, and the number of these hosts. */
  readonly runs: readonly RunShare[];
}

/** A worker's share of a run. */
export interface RunShare {
  readonly run: string;
  /** Hosts in flight. */
  readonly hosts: number;
}

/** The work of a worker, as its meter and its metrics are told of it. */
export interface WorkCounts {
  /** A host's job was taken from the queue of a label. */
  taken(label: string): void;
  /** The controller has granted a host, and its part begins. */
  began(): void;
  /** A host's part has ended, so many ms after it began. */
  ended(outcome: Outcome, elapsedMs: number): void;
  /** A host was left to other workers. */
  handedBack(): void;
  /** Something in the store was refused: it was forged, changed or replayed. */
  refused(kind: "job" | "message"): void;
  /** Events were sent to the controller. */
  event(count: number): void;
}
