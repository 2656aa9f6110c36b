import type { SerializedError } from "../../core/errors.ts";
import type { Event, Outcome, TaskRef } from "../../core/events.ts";
import { addTallies, countRescued, countState, EMPTY_TALLY, type Tally } from "../../core/result.ts";
import { createOutputLines, type OutputLines } from "../output.ts";
import type { Symbols } from "../rows/wording.ts";
import { createHostLog, type HostLog } from "./host-log.ts";
import { logRows } from "./log-rows.ts";

/** What a host is doing. */
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
  /** Its connection is gone and the controller tries to come back. */
  | "away"
  | "done";

/** One host as the UI shows it. */
export interface HostView {
  readonly name: string;
  /** Its place in the run's list of hosts. */
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
  /** Among the skipped: what check mode could not know. */
  readonly unknown: number;
  /** Tasks known of so far in the host's run, those that have ended included. */
  readonly total: number;
  /** The last thing that went wrong and was not ignored. */
  readonly error: SerializedError | undefined;
  readonly failedTask: TaskRef | undefined;
  readonly log: HostLog;
}

/** What the UI shows. */
export type RunKind = "run" | "command";

/** The whole run as the UI shows it. */
export interface RunView {
  /** A run of a playbook, or one command on every host: a command has an end but no task states. */
  readonly kind: RunKind;
  readonly playbook: string;
  readonly check: boolean;
  readonly startedAt: number | undefined;
  readonly hosts: readonly HostView[];
  readonly cancelling: "clean" | "now" | undefined;
  readonly ended: boolean;
  /** Milliseconds since the epoch; undefined while it goes on. */
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

/** What is kept of a host beside what is shown. */
export interface HostState extends Writable<HostView> {
  readonly output: OutputLines;
  /** Whether the running task's title is in the log, because it has printed something. */
  titled: boolean;
}

/** Starts a fold with no hosts. */
export function createRunModel(symbols: Symbols, kind: RunKind = "run"): RunModel {
  const hosts = new Map<string, HostState>();
  const list: HostState[] = [];
  const view: Writable<RunView> = {
    kind,
    playbook: "",
    check: false,
    startedAt: undefined,
    hosts: list,
    cancelling: undefined,
    ended: false,
    endedAt: undefined,
  };
  let version = 0;
  const hostOf = (name: string): HostState => {
    const known = hosts.get(name);
    if (known !== undefined) return known;
    const fresh = newHost(name, list.length);
    hosts.set(name, fresh);
    list.push(fresh);
    return fresh;
  };
  return {
    view,
    get version() {
      return version;
    },
    apply(event) {
      version++;
      if ("host" in event) {
        const host = hostOf(event.host);
        host.log.add(logRows(event, host, symbols, kind));
        foldHostEvent(host, event);
        return;
      }
      switch (event.type) {
        case "run:start":
          view.playbook = event.playbook;
          view.check = event.check;
          view.startedAt = event.time;
          for (const name of event.hosts) hostOf(name);
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

function newHost(name: string, index: number): HostState {
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
    output: createOutputLines(),
    titled: false,
  };
}

function foldHostEvent(host: HostState, event: Extract<Event, { host: string }>): void {
  if (event.type !== "host:end") host.startedAt ??= event.time;
  switch (event.type) {
    case "host:lost":
      host.phase = "away";
      return;
    case "host:back":
      host.phase = "running";
      return;
    case "host:connect":
      if (host.phase !== "away") host.phase = "connecting";
      host.address = `${event.user}@${event.address}${event.port === 22 ? "" : `:${event.port}`}`;
      return;
    case "host:connected":
      if (host.phase !== "away") host.phase = "connected";
      return;
    case "host:upload":
      host.phase = event.bytes < event.totalBytes ? "uploading" : "starting";
      host.upload = event;
      return;
    case "host:cached":
    case "host:start":
      host.phase = "starting";
      return;
    case "hello":
      host.phase = "facts";
      return;
    case "play:start":
      host.play = event.play;
      host.task = undefined;
      host.phase = "running";
      host.total = event.total;
      return;
    case "play:plan":
      host.total = event.total;
      return;
    case "play:end":
      host.phase = "barrier";
      host.task = undefined;
      return;
    case "task:start":
      host.phase = "running";
      host.task = event;
      host.titled = false;
      return;
    case "task:end":
      // It stays in sight until the next one starts.
      host.tally = countState(host.tally, event.result.state);
      if (event.result.unknown === true) host.unknown++;
      if (event.result.state === "failed" && event.result.ignored !== true) {
        host.error = event.result.error;
        host.failedTask = event;
      }
      return;
    case "task:rescued":
      host.tally = countRescued(host.tally);
      if (host.failedTask?.task === event.task) {
        host.error = undefined;
        host.failedTask = undefined;
      }
      return;
    case "bye":
      host.phase = "ending";
      return;
    case "host:end":
      host.phase = "done";
      host.task = undefined;
      host.outcome = event.outcome;
      host.tally = event.tally;
      host.elapsedMs = event.elapsedMs;
      host.error = event.error ?? host.error;
      return;
    case "facts":
    case "task:output":
    case "log":
    case "host:noise":
      return;
  }
}

/** The tally of all hosts together. */
export function fleetTally(view: RunView): Tally {
  return addTallies(view.hosts.map(({ tally }) => tally));
}
