import type { SerializedError } from "../../core/errors.ts";
import type { Event, Outcome, TaskRef } from "../../core/events.ts";
import { addTallies, countRescued, countResult, EMPTY_TALLY, type Tally } from "../../core/result.ts";
import type { Symbols } from "../rows/wording.ts";
import { createHostLog, createLogRows, type HostLog, type RunKind } from "./log.ts";

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

/** A host as the UI shows it. Every change makes a new object, so that a row detects changes by identity. */
export interface HostView {
  readonly name: string;
  /** The place in the run's list of hosts. */
  readonly index: number;
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
  /** Grows in place. */
  readonly log: HostLog;
}

/** The whole run as the UI shows it. */
export interface RunView {
  readonly kind: RunKind;
  readonly playbook: string;
  readonly check: boolean;
  readonly startedAt: number | undefined;
  readonly hosts: readonly HostView[];
  readonly cancelling: "clean" | "now" | undefined;
  readonly ended: boolean;
  /** Milliseconds since the epoch; undefined while the run goes on. */
  readonly endedAt: number | undefined;
}

/** Events folded into what the UI shows; no clock, no I/O. */
export interface RunModel {
  apply(event: Event): void;
  readonly view: RunView;
  /** Raised by every event. */
  readonly version: number;
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type HostEvent = Extract<Event, { host: string }>;

/** Start a fold with no hosts. */
export function createRunModel(symbols: Symbols, kind: RunKind = "run"): RunModel {
  const hosts: HostView[] = [];
  const known = new Map<
    string,
    { readonly index: number; readonly logRows: ReturnType<typeof createLogRows> }
  >();
  const view: Writable<RunView> = {
    kind,
    playbook: "",
    check: false,
    startedAt: undefined,
    hosts,
    cancelling: undefined,
    ended: false,
    endedAt: undefined,
  };
  let version = 0;
  const addHost = (name: string) => {
    const added = { index: hosts.length, logRows: createLogRows(symbols, kind) };
    known.set(name, added);
    hosts.push(newHost(name, added.index));
    return added;
  };
  return {
    view,
    get version() {
      return version;
    },
    apply(event) {
      version++;
      if ("host" in event) {
        const { index, logRows } = known.get(event.host) ?? addHost(event.host);
        const host = hosts[index]!;
        host.log.add(logRows(event));
        hosts[index] = foldHost(host, event);
        return;
      }
      switch (event.type) {
        case "run:start":
          view.playbook = event.playbook;
          view.check = event.check;
          view.startedAt = event.time;
          for (const name of event.hosts) if (!known.has(name)) addHost(name);
          return;
        case "run:cancel":
          view.cancelling = event.how;
          return;
        case "run:end":
          view.ended = true;
          view.endedAt = event.time;
          return;
        case "run:build":
          return;
      }
    },
  };
}

/** The tally of all hosts together. */
export function fleetTally(view: RunView): Tally {
  return addTallies(view.hosts.map(({ tally }) => tally));
}

function newHost(name: string, index: number): HostView {
  return {
    name,
    index,
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
    log: createHostLog(),
  };
}

function foldHost(host: HostView, event: HostEvent): HostView {
  const changes = changesOf(host, event);
  if (event.type === "host:end" || host.startedAt !== undefined)
    return changes === undefined ? host : { ...host, ...changes };
  return { ...host, startedAt: event.time, ...changes };
}

/** Return the changes that an event makes to a host; undefined for events that only add to its log. */
function changesOf(host: HostView, event: HostEvent): Partial<HostView> | undefined {
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
