import { VolleyError } from "../../core/errors.ts";
import type { Event, HostEnd, TargetEvent } from "../../core/events.ts";
import type { WireEvent } from "../../core/protocol.ts";
import { countRescued, countState, EMPTY_TALLY, type Tally, tallyTotal } from "../../core/result.ts";
import { printable } from "../../core/text.ts";

/** The host's account of its part of a run, over all connections. */
export interface Told {
  /** Sequence number of the last event in the host's own stream; 0 before the first. */
  readonly lastSequence: number;
  readonly tally: Tally;
  /** Number of tasks known so far. */
  readonly total: number;
  /** Tasks that failed and were neither ignored nor, so far, rescued. */
  readonly failed: ReadonlySet<number>;
  /** Tasks that have started and not ended. Undefined after a takeover, until the first task is heard of. */
  readonly started: ReadonlySet<number> | undefined;
  /** Index of the play that the host is at, or begins next. */
  readonly play: number | undefined;
  /** True for each play, by index, in which the host failed; false for other plays that ended. */
  readonly endedPlays: ReadonlyMap<number, boolean>;
  /** The restart of the host that a task asked for, until that task ends. */
  readonly restart: PendingRestart | undefined;
  /** True if the host ends the run with the login (`KillUserProcesses=yes`). */
  readonly endsWithLogin: boolean;
}

/** A restart of the host that a task asked for. */
export interface PendingRestart {
  readonly task: number;
  readonly timeoutMs: number;
}

/** The host's part in the log of an earlier controller. */
export interface EarlierPart extends Told {
  /** Set when the host's part was over. */
  readonly end: HostEnd | undefined;
  /** True if the host may have received its job. */
  readonly known: boolean;
  readonly uploadedBytes: number;
  /** Undefined before the host's part was started. */
  readonly method: "bundle" | "direct" | undefined;
}

/** Sequence number of the first event in a journal: the first event is the `hello` of the process that tells it. */
export const FIRST_JOURNALED = 2;

/** The failures that the code of one role may catch before it ends; a failure that it does not catch ends the host. */
const MAX_FAILED = 1_000;

/** A host that has told nothing. */
export const NOTHING_TOLD: Told = {
  lastSequence: 0,
  tally: EMPTY_TALLY,
  total: 0,
  failed: new Set(),
  started: new Set(),
  play: undefined,
  endedPlays: new Map(),
  restart: undefined,
  endsWithLogin: false,
};

/** Add an event of a host that takes part in these plays. Throws `PROTOCOL_INVALID` for an event that cannot be true. */
export function hear(told: Told, event: WireEvent, plays: readonly number[]): Told {
  switch (event.type) {
    case "play:start":
    case "play:end":
      if (!plays.includes(event.index))
        throw invalid(`${event.type} of play ${event.index}, which it has no part in`);
      break;
    case "task:end":
      if (told.started !== undefined && !told.started.has(event.task))
        throw invalid(
          `the end of task ${event.task}, "${printable(event.name, 100)}", which has not started`,
        );
      if (told.failed.size >= MAX_FAILED && isFailure(event))
        throw invalid(`more than ${MAX_FAILED} failures`);
      break;
    default:
      break;
  }
  return fold(told, event, event.seq);
}

/**
 * Return the tally with the remaining tasks counted. A task that was running when the host's part broke off has been
 * executed, and counts as failed.
 */
export function fullTally({ tally, total, started }: Told): Tally {
  const { unchanged, changed, skipped, rescued } = tally;
  const failed = tally.failed + (started?.size ?? 0);
  const notExecuted = Math.max(0, total - unchanged - changed - skipped - failed - rescued);
  return { ...tally, failed, notExecuted };
}

/** Read the log of a run, by host. */
export function readEarlier(events: readonly Event[]): ReadonlyMap<string, EarlierPart> {
  const parts = new Map<string, EarlierPart>();
  for (const event of events) {
    if (!("host" in event)) continue;
    const part = parts.get(event.host) ?? NOTHING_EARLIER;
    parts.set(event.host, foldLogged(part, event));
  }
  return parts;
}

/** A host that no earlier controller has seen. */
export const NOTHING_EARLIER: EarlierPart = {
  ...NOTHING_TOLD,
  end: undefined,
  known: false,
  uploadedBytes: 0,
  method: undefined,
};

function foldLogged(part: EarlierPart, event: Extract<Event, { readonly host: string }>): EarlierPart {
  switch (event.type) {
    case "host:connected":
      // The controller may have been ended before it wrote down what followed.
      return { ...part, known: true };
    case "host:start":
      return { ...part, method: event.method };
    case "host:upload":
      return { ...part, uploadedBytes: event.bytes };
    case "host:end":
      return { ...part, end: event };
    case "host:connect":
    case "host:lost":
    case "host:back":
    case "host:cached":
    case "host:noise":
    case "task:once":
    case "task:delegate":
      return part;
    default:
      // Lines of a damaged log may be missing: the start of the next task that ends, for one.
      return { ...part, ...fold(part, event, event.hostSeq ?? 0), started: undefined };
  }
}

function fold(told: Told, event: TargetEvent, seq: number): Told {
  // A process that begins the run anew first sends a few events with low numbers of its own.
  const lastSequence = Math.max(told.lastSequence, seq);
  switch (event.type) {
    case "hello":
      // A later process of the same run may have been started in another way.
      return event.ends === true ? { ...told, endsWithLogin: true } : told;
    case "gone":
      return told;
    case "restart":
      return { ...told, lastSequence, restart: { task: event.task, timeoutMs: event.timeoutMs } };
    case "play:start":
      return { ...told, lastSequence, play: event.index, total: event.total };
    case "play:plan":
      return { ...told, lastSequence, total: event.total };
    case "play:end":
      return { ...told, lastSequence, endedPlays: new Map(told.endedPlays).set(event.index, event.failed) };
    case "task:start":
      return { ...told, lastSequence, started: new Set(told.started).add(event.task) };
    case "task:end": {
      const started = new Set(told.started);
      started.delete(event.task);
      return {
        ...told,
        lastSequence,
        started,
        tally: countState(told.tally, event.result.state),
        failed: isFailure(event) ? new Set(told.failed).add(event.task) : told.failed,
        restart: told.restart?.task === event.task ? undefined : told.restart,
      };
    }
    case "task:rescued": {
      const failed = new Set(told.failed);
      const tally = failed.delete(event.task) ? countRescued(told.tally) : told.tally;
      return { ...told, lastSequence, tally, failed };
    }
    case "bye":
      return {
        ...told,
        lastSequence,
        tally: event.tally,
        total: tallyTotal(event.tally),
        started: new Set(),
      };
    default:
      return { ...told, lastSequence };
  }
}

function isFailure({ result: { state, ignored } }: Extract<TargetEvent, { type: "task:end" }>): boolean {
  return state === "failed" && ignored !== true;
}

function invalid(what: string): VolleyError {
  return new VolleyError("PROTOCOL_INVALID", `the host sent ${what}`);
}
