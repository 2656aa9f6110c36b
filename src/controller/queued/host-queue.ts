import type { Event } from "../../core/events.ts";
import type { RunOptions } from "../prepare/options.ts";
import type { Plan } from "../prepare/prepare.ts";
import type { HostSession, SessionOptions } from "../session/session.ts";
import type { QueuedHost } from "./queued-host.ts";

// The controller's view of a queue, which brings hosts' parts of a run to workers. `src/queue/` has the other side.

/** The options of a run that workers heed. Paths among them are paths on the worker's machine. */
export type WorkerOptions = Pick<RunOptions, (typeof WORKER_OPTIONS)[number]>;

const WORKER_OPTIONS = [
  "port",
  "sshArguments",
  "user",
  "privateKeyFile",
  "hostKeys",
  "connectTimeoutMs",
  "connectRetries",
  "transport",
  "password",
  "forwardAgent",
  "become",
  "becomeUser",
  "becomeMethod",
  "becomeExe",
  "becomeFlags",
  "becomePassword",
  "runtime",
  "check",
] as const satisfies readonly (keyof RunOptions)[];

/** Return the options that workers heed. */
export function workerOptions(options: RunOptions): WorkerOptions {
  return Object.fromEntries(
    WORKER_OPTIONS.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

/** A queue that runs are handed to. */
export interface HostQueue {
  /** The address of its server, without a password. */
  readonly shown: string;
  /** Hand over the jobs of a run. No worker begins before the sessions do. Fails with `QUEUE_FAILED`. */
  open(plan: Plan, options: WorkerOptions): Promise<OpenQueue>;
  /** Take a run over whose controller is gone. Fails with `USAGE` and `QUEUE_FAILED`. */
  reopen(run: string, options: RunOptions): Promise<{ readonly plan: Plan; readonly queue: OpenQueue }>;
}

/** The options of a host's part of a run, as far as the controller's side of it needs them. */
export type PartOptions = Pick<SessionOptions, "emit" | "ask" | "keepResult" | "locate" | "earlier">;

/** A run in a queue. */
export interface OpenQueue {
  /** Open a host's part, which a worker carries out once it has begun. */
  session(host: QueuedHost, options: PartOptions): HostSession;
  /** Hear the workers, once there is a session for each host. */
  listen(): void;
  /** Keep an event of the run for those who watch it, and for the controller that takes it over. */
  log(event: Event): void;
  /** Rejects once another controller has taken the run over: this one must do nothing more. */
  readonly replaced: Promise<never>;
  /** Let go of the run: it has ended. */
  close(): Promise<void>;
}
