import type { SerializedError } from "./errors.ts";
import type { Result, Tally } from "./result.ts";

/** How a host's part of a run ended. */
export type Outcome = "ok" | "failed" | "unreachable" | "lost" | "cancelled";

/** Where the time of a host's run goes. */
export type Phase = (typeof PHASES)[number];

/** The phases of a host's run in the order they are gone through. */
export const PHASES = [
  "connect",
  "authenticate",
  "upload",
  "start",
  "facts",
  "tasks",
  "wait",
  "collect",
] as const;

/** What every event carries once it has been taken in by the controller. */
export interface EventStamp {
  /** Counted from 1 within the run. */
  readonly seq: number;
  /** Milliseconds since the epoch, by the controller's clock. */
  readonly time: number;
}

/** Which task an event is about. */
export interface TaskRef {
  /** Counted from 1 within the host's run; a task declared but not reached has none yet. */
  readonly task: number;
  readonly play: string;
  readonly role: string;
  readonly name: string;
  readonly action: string;
  /** True for a handler. */
  readonly handler?: boolean;
}

/** A task that the controller is asked about. */
export interface AskedTask extends TaskRef {
  /** Of the play. */
  readonly index: number;
  /** Counted from 1: which of the tasks of the same play, role and name. */
  readonly nth: number;
}

/** An action of a task that the controller is to perform. */
export interface DelegatedTask extends AskedTask {
  /** Index of the loop's item; 0 without a loop. */
  readonly item: number;
  /** Counted from 1: how often it has been tried. */
  readonly attempt: number;
  /** What is left of the task's time; absent where it has none. */
  readonly limitMs?: number;
}

/** What the target says: one JSON line each, `hello` first and `bye` last. */
export type TargetEvent =
  | {
      readonly type: "hello";
      /** The protocol's version. */
      readonly protocol: number;
      /** SHA-256 of the bundle, in hex. */
      readonly bundle: string;
      readonly pid: number;
      /** Version of Node there. */
      readonly node: string;
      /** True when the host ends the run with the connection, or soon after: it cannot work on without one. */
      readonly ends?: boolean;
      /** Set by a process that was started before: the sequence number of the event that follows. */
      readonly next?: number;
    }
  /** The process that carried out the run has ended without saying bye: the host was restarted, or the process killed. */
  | {
      readonly type: "gone";
      readonly restarted: boolean;
      /** The restart of the host is, or will be, one that a task asked for: the run can go on then. */
      readonly asked?: boolean;
      /** Another process carries out this very run. */
      readonly running?: boolean;
    }
  /** The host is about to restart as a task asked; the run goes on afterwards. */
  | { readonly type: "restart"; readonly task: number; readonly timeoutMs: number }
  | { readonly type: "facts"; readonly elapsedMs: number; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly type: "play:start"; readonly index: number; readonly play: string; readonly total: number }
  /** How many tasks are known of by now: it grows when a role declares more after an `await`. */
  | { readonly type: "play:plan"; readonly total: number }
  /** The host has done its part of a play and, unless the play is free, waits for word to go on. */
  | { readonly type: "play:end"; readonly index: number; readonly play: string; readonly failed: boolean }
  | (TaskRef & { readonly type: "task:start" })
  | {
      readonly type: "task:output";
      readonly task: number;
      readonly stream: "stdout" | "stderr";
      readonly text: string;
    }
  | (TaskRef & {
      readonly type: "task:end";
      readonly result: Result;
      readonly elapsedMs: number;
      /** True when code has more of the result than is told here, where texts are masked and cut. */
      readonly partial?: boolean;
    })
  /** The role's code has caught the failure of this task, and has ended well. */
  | (TaskRef & { readonly type: "task:rescued" })
  /** `info` is shown only to who asks for more, `notice` to everybody. */
  | { readonly type: "log"; readonly level: "info" | "notice" | "warn"; readonly text: string }
  | {
      readonly type: "bye";
      readonly tally: Tally;
      readonly elapsedMs: number;
      /** Set when the run ended early for a reason of its own rather than a task's failure. */
      readonly error?: SerializedError;
      readonly cancelled?: boolean;
      /** Processor time, user and system, of the target and of its processes that have ended; not told where the system does not say. */
      readonly cpuMs?: number;
    };

/** What the controller adds of its own. */
export type ControllerEvent =
  /** The controller got a host's question about a task that only one host of its batch does; the host waits for the answer. */
  | (AskedTask & { readonly type: "task:once"; readonly host: string })
  /** The controller got a host's request for an action that is delegated to it; the host waits for the result. */
  | (DelegatedTask & { readonly type: "task:delegate"; readonly host: string })
  | {
      readonly type: "run:start";
      readonly run: string;
      readonly playbook: string;
      /** Every host the run will touch, in order. */
      readonly hosts: readonly string[];
      readonly plays: readonly { readonly name: string; readonly hosts: readonly string[] }[];
      readonly check: boolean;
      readonly concurrency: number;
    }
  | {
      readonly type: "run:build";
      readonly bundle: string;
      readonly bytes: number;
      readonly elapsedMs: number;
      /** True when nothing had changed since it was last built. */
      readonly reused: boolean;
    }
  | {
      readonly type: "host:connect";
      readonly host: string;
      readonly address: string;
      readonly port: number;
      readonly user: string;
    }
  | { readonly type: "host:connected"; readonly host: string; readonly elapsedMs: number }
  | {
      readonly type: "host:upload";
      readonly host: string;
      readonly bytes: number;
      readonly totalBytes: number;
      readonly elapsedMs: number;
    }
  /** The connection is gone, and the controller tries to come back; the host works on, unless it `ends` with the login. */
  | { readonly type: "host:lost"; readonly host: string; readonly reason: string }
  /** The controller is connected again. */
  | { readonly type: "host:back"; readonly host: string; readonly awayMs: number }
  /** The bundle was there already. */
  | { readonly type: "host:cached"; readonly host: string }
  /** The target has said hello: what follows from this host runs there, or directly from here. */
  | { readonly type: "host:start"; readonly host: string; readonly method?: "bundle" | "direct" }
  /** A line that is not of the protocol: a banner, a .bashrc that prints, what Node wrote to standard error. */
  | { readonly type: "host:noise"; readonly host: string; readonly text: string }
  | HostEnd
  /** Hosts of a play begin together; told of plays that are serial or shuffled. */
  | {
      readonly type: "play:batch";
      readonly index: number;
      readonly play: string;
      /** Counted from 1. */
      readonly batch: number;
      readonly batches: number;
      /** In the order they begin. */
      readonly hosts: readonly string[];
      /** What they were shuffled by. */
      readonly seed?: string;
    }
  /** Too many hosts have failed in a play: the others end as soon as they can. */
  | {
      readonly type: "play:stop";
      readonly index: number;
      readonly play: string;
      readonly reason: SerializedError;
    }
  | { readonly type: "run:cancel"; readonly how: "clean" | "now" }
  | { readonly type: "run:end"; readonly summary: Summary };

/** A host's part of the run is over. */
export interface HostEnd {
  readonly type: "host:end";
  readonly host: string;
  readonly outcome: Outcome;
  readonly tally: Tally;
  readonly elapsedMs: number;
  /** Milliseconds spent in each phase. */
  readonly phases: Readonly<Partial<Record<Phase, number>>>;
  /** Bytes of the bundle that were sent: 0 when it was there. */
  readonly uploadedBytes: number;
  readonly error?: SerializedError;
}

/** A target's event once the controller has taken it in. */
export type ReceivedEvent = TargetEvent & {
  readonly host: string;
  /** Its place in the host's own stream, from which a controller that comes back asks for the rest. */
  readonly hostSeq?: number;
};

/** One thing that happened, as reporters and programs get it. */
export type Event = (ReceivedEvent | ControllerEvent) & EventStamp;

/** What one task that failed leaves in the summary. */
export interface Failure {
  readonly role: string;
  readonly name: string;
  readonly error: SerializedError;
  /** The last lines the task printed. */
  readonly output: readonly string[];
}

/** One host's line of the summary. */
export interface HostSummary {
  readonly host: string;
  readonly outcome: Outcome;
  readonly tally: Tally;
  readonly elapsedMs: number;
  readonly phases: HostEnd["phases"];
  readonly uploadedBytes: number;
  /** Why it was unreachable, lost, or could not start. */
  readonly error?: SerializedError;
  /** Tasks that failed and were neither ignored nor rescued. */
  readonly failures: readonly Failure[];
}

/** Events folded: what a run came to. */
export interface Summary {
  readonly run: string;
  readonly playbook: string;
  readonly check: boolean;
  readonly elapsedMs: number;
  readonly hosts: readonly HostSummary[];
  readonly tally: Tally;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** 0 all ok, 1 the set-up kept every host from being started, 2 some host failed, 4 some host unreachable or lost, 130 cancelled. */
  readonly exitCode: number;
  readonly logFile?: string;
}
