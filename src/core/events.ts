import type { SerializedError } from "./errors.ts";
import type { Result, Tally } from "./result.ts";

/** The outcome of a host's part of a run. */
export type Outcome = "ok" | "failed" | "unreachable" | "lost" | "cancelled";

/** A phase of a host's run, for measuring time. */
export type Phase = (typeof PHASES)[number];

/** The phases of a host's run in order. */
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

/** The fields that the controller adds to every event. */
export interface EventStamp {
  /** Counted from 1 within the run. */
  readonly seq: number;
  /** Milliseconds since the epoch, by the controller's clock. */
  readonly time: number;
}

/** The task that an event is about. */
export interface TaskRef {
  /** Counted from 1 within the host's run; a task that was declared but not reached has no number yet. */
  readonly task: number;
  readonly play: string;
  readonly role: string;
  readonly name: string;
  readonly action: string;
  /** True for a handler. */
  readonly handler?: boolean;
}

/** A task in a question to the controller. */
export interface AskedTask extends TaskRef {
  /** Index of the play. */
  readonly index: number;
  /** Number among the tasks of the same play, role and name, counted from 1. */
  readonly nth: number;
}

/** A task's action in a request to the controller to perform it. */
export interface DelegatedTask extends AskedTask {
  /** Index of the loop's item; 0 without a loop. */
  readonly item: number;
  /** Number of the attempt, counted from 1. */
  readonly attempt: number;
  /** Milliseconds left of the task's timeout; absent for a task without a timeout. */
  readonly limitMs?: number;
}

/** An event of a host, sent as one JSON line: `hello` is the first and `bye` the last. */
export type TargetEvent =
  | {
      readonly type: "hello";
      /** The protocol's version. */
      readonly protocol: number;
      /** SHA-256 of the bundle, in hex. */
      readonly bundle: string;
      readonly pid: number;
      /** Version of Node on the host. */
      readonly node: string;
      /** True when the host ends the run with the connection, or soon after, because it cannot work without a connection. */
      readonly ends?: boolean;
      /** Sequence number of the event that follows; set by a process that was started before. */
      readonly next?: number;
    }
  /** The process of the run has ended without `bye`: the host was restarted, or the process was killed. */
  | {
      readonly type: "gone";
      readonly restarted: boolean;
      /** True when a task asked for the restart of the host, past or to come: the run can then continue. */
      readonly asked?: boolean;
      /** True when another process carries out this run. */
      readonly running?: boolean;
    }
  /** The host is about to restart, as a task asked; the run then continues. */
  | { readonly type: "restart"; readonly task: number; readonly timeoutMs: number }
  | { readonly type: "facts"; readonly elapsedMs: number; readonly facts: Readonly<Record<string, unknown>> }
  | { readonly type: "play:start"; readonly index: number; readonly play: string; readonly total: number }
  /** The number of tasks known now; the number grows when a role declares more tasks after an `await`. */
  | { readonly type: "play:plan"; readonly total: number }
  /** The host has done its part of a play and, unless the play is free, waits for `continue`. */
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
      /** True when `result` lacks a part of the whole result, because texts in events are masked and cut. */
      readonly partial?: boolean;
    })
  /** The role's code has caught the failure of this task, and has ended well. */
  | (TaskRef & { readonly type: "task:rescued" })
  /** Reporters show `info` only when asked for more output, and `notice` always. */
  | { readonly type: "log"; readonly level: "info" | "notice" | "warn"; readonly text: string }
  | {
      readonly type: "bye";
      readonly tally: Tally;
      readonly elapsedMs: number;
      /** The reason why the run ended early, unless a task's failure ended it. */
      readonly error?: SerializedError;
      readonly cancelled?: boolean;
      /** Processor time, user and system, of the host's process and of its children that have ended; absent where the system does not report it. */
      readonly cpuMs?: number;
    };

/** An event of the controller itself. */
export type ControllerEvent =
  /** The controller got a host's question about a task that only one host of its batch does; the host waits for the answer. */
  | (AskedTask & { readonly type: "task:once"; readonly host: string })
  /** The controller got a host's request for an action that is delegated to it; the host waits for the result. */
  | (DelegatedTask & { readonly type: "task:delegate"; readonly host: string })
  | {
      readonly type: "run:start";
      readonly run: string;
      readonly playbook: string;
      /** The hosts of the run, in order. */
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
      /** True when an earlier bundle was still up to date. */
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
  /** The connection is lost, and the controller tries to reconnect. The host works on, unless it `ends` with the login. */
  | { readonly type: "host:lost"; readonly host: string; readonly reason: string }
  /** The controller is connected again. */
  | { readonly type: "host:back"; readonly host: string; readonly awayMs: number }
  /** The host already had the bundle. */
  | { readonly type: "host:cached"; readonly host: string }
  /** The host's part has begun: with a process on the host (`bundle`), or from the controller (`direct`). */
  | { readonly type: "host:start"; readonly host: string; readonly method?: "bundle" | "direct" }
  /** A line outside of the protocol: a banner, the output of a .bashrc, or Node's standard error. */
  | { readonly type: "host:noise"; readonly host: string; readonly text: string }
  | HostEnd
  /** A batch of hosts begins a play; emitted only for plays that are serial or shuffled. */
  | {
      readonly type: "play:batch";
      readonly index: number;
      readonly play: string;
      /** Counted from 1. */
      readonly batch: number;
      readonly batches: number;
      /** The hosts of the batch, in the order in which they begin. */
      readonly hosts: readonly string[];
      /** The seed of the shuffle. */
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
  /** Bytes of the bundle that were sent: 0 when the host already had it. */
  readonly uploadedBytes: number;
  readonly error?: SerializedError;
}

/** A host's event as the controller received it. */
export type ReceivedEvent = TargetEvent & {
  readonly host: string;
  /** Sequence number in the host's own stream; a controller that reconnects asks for the events after it. */
  readonly hostSeq?: number;
};

/** An event as reporters and programs get it. */
export type Event = (ReceivedEvent | ControllerEvent) & EventStamp;

/** A failed task in the summary. */
export interface Failure {
  readonly role: string;
  readonly name: string;
  readonly error: SerializedError;
  /** The last lines the task printed. */
  readonly output: readonly string[];
  /** Set where the machine that the task was delegated to could not be reached. */
  readonly unreachable?: true;
}

/** A host's part of the summary. */
export interface HostSummary {
  readonly host: string;
  readonly outcome: Outcome;
  readonly tally: Tally;
  readonly elapsedMs: number;
  readonly phases: HostEnd["phases"];
  readonly uploadedBytes: number;
  /** The reason why the host was unreachable, lost, or could not start. */
  readonly error?: SerializedError;
  /** Tasks that failed and were neither ignored nor rescued. */
  readonly failures: readonly Failure[];
}

/** The summary of a run, folded from its events. */
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
