import type { SerializedError } from "../core/errors.ts";
import type { Event, Outcome, TaskRef } from "../core/events.ts";
import { countRescued, countResult, EMPTY_TALLY, type Tally } from "../core/result.ts";

// The part of a host in a run as a person watches it, on the terminal's screen or on a page.

/** The phase of a host. */
export type HostPhase =
  | "waiting"
  | "connecting"
  | "connected"
  | "uploading"
  | "starting"
  | "facts"
  | "running"
  | "barrier"
  | "ending"
  /** The connection is gone, and the controller tries to connect again. */
  | "away"
  | "done";

/** A host at work. Every change makes a new object, so that a row detects changes by identity. */
export interface HostState {
  readonly name: string;
  readonly phase: HostPhase;
  readonly address: string | undefined;
  readonly play: string | undefined;
  /** The task now running, or the last one that ran in this play. */
  readonly task: TaskRef | undefined;
  readonly upload:
    | { readonly bytes: number; readonly totalBytes: number; readonly elapsedMs: number }
    | undefined;
  /** Milliseconds since the epoch. */
  readonly startedAt: number | undefined;
  readonly elapsedMs: number | undefined;
  readonly outcome: Outcome | undefined;
  readonly tally: Tally;
  /** Number of skipped tasks whose outcome check mode could not know. */
  readonly unknown: number;
  /** The number of tasks known so far, those that have ended included. */
  readonly total: number;
  /** The last error that was not ignored. */
  readonly error: SerializedError | undefined;
  readonly failedTask: TaskRef | undefined;
}

type HostEvent = Extract<Event, { host: string }>;

/** A host before its first event. */
export function newHost(name: string): HostState {
  return {
    name,
    phase: "waiting",
    address: undefined,
    play: undefined,
    task: undefined,
    upload: undefined,
    startedAt: undefined,
    elapsedMs: undefined,
    outcome: undefined,
    tally: EMPTY_TALLY,
    unknown: 0,
    total: 0,
    error: undefined,
    failedTask: undefined,
  };
}

/** Return the host after an event; the same object where the event changes nothing. */
export function foldHost<Host extends HostState>(host: Host, event: HostEvent): Host {
  const changes = changesOf(host, event);
  if (event.type === "host:end" || host.startedAt !== undefined)
    return changes === undefined ? host : { ...host, ...changes };
  return { ...host, startedAt: event.time, ...changes };
}

/** Return the changes that an event makes to a host; undefined for events that only add to its log. */
function changesOf(host: HostState, event: HostEvent): Partial<HostState> | undefined {
  switch (event.type) {
    case "host:lost":
      return { phase: "away" };
    case "host:back":
      return { phase: "running" };
    case "host:connect": {
      const port = event.port === 22 ? "" : `:${event.port}`;
      const phase = host.phase === "away" ? host.phase : "connecting";
      return { phase, address: `${event.user}@${event.address}${port}` };
    }
    case "host:connected":
      return host.phase === "away" ? undefined : { phase: "connected" };
    case "host:upload":
      return { phase: event.bytes < event.totalBytes ? "uploading" : "starting", upload: event };
    case "host:cached":
    case "host:start":
      return { phase: "starting" };
    case "hello":
      return { phase: "facts" };
    case "play:start":
      return { play: event.play, task: undefined, phase: "running", total: event.total };
    case "play:plan":
      return { total: event.total };
    case "play:end":
      return { phase: "barrier", task: undefined };
    case "task:start":
      return { phase: "running", task: event };
    case "task:end": {
      const { result } = event;
      const failed = result.state === "failed" && result.ignored !== true;
      // The task stays in sight until the next one starts.
      return {
        tally: countResult(host.tally, result),
        ...(result.unknown === true ? { unknown: host.unknown + 1 } : {}),
        ...(failed ? { error: result.error, failedTask: event } : {}),
      };
    }
    case "task:rescued": {
      const tally = countRescued(host.tally);
      return host.failedTask?.task === event.task
        ? { tally, error: undefined, failedTask: undefined }
        : { tally };
    }
    case "bye":
      return { phase: "ending" };
    case "host:end":
      return {
        phase: "done",
        task: undefined,
        outcome: event.outcome,
        tally: event.tally,
        elapsedMs: event.elapsedMs,
        error: event.error ?? host.error,
      };
    case "facts":
    case "task:output":
    case "log":
    case "host:noise":
      return undefined;
  }
}
