import { printable, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, ReceivedEvent, TargetEvent } from "../../core/events.ts";
import type { WireEvent } from "../../core/protocol.ts";
import {
  addTallies,
  countRescued,
  countResult,
  countState,
  EMPTY_TALLY,
  type Tally,
  tallyTotal,
} from "../../core/result.ts";
import { MAX_FAILURES } from "../../core/summary.ts";

/** The host's account of its part of a run, over all connections. */
export interface Told {
  /** Sequence number of the last event in the host's own stream; 0 before the first. */
  readonly lastSequence: number;
  /** True once the host has told an event that a process tells only after it has opened its journal. */
  readonly isJournaled: boolean;
  readonly tally: Tally;
  /** Number of tasks known so far. */
  readonly total: number;
  /** Tasks that failed and were neither ignored nor, so far, rescued: at most `MAX_FAILURES` of them. */
  readonly failed: ReadonlySet<number>;
  /** Number of further such tasks. */
  readonly moreFailed: number;
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

/** Events that a process may tell before it opens its journal. */
export const BEFORE_JOURNAL: ReadonlySet<TargetEvent["type"]> = new Set(["hello", "log", "gone", "bye"]);

/** A host that has told nothing. */
export const NOTHING_TOLD: Told = {
  lastSequence: 0,
  isJournaled: false,
  tally: EMPTY_TALLY,
  total: 0,
  failed: new Set(),
  moreFailed: 0,
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
      break;
    default:
      break;
  }
  return fold(told, event, event.seq);
}

/** Return whether a task failed and was neither ignored nor, so far, rescued. */
export function hasFailed({ failed, moreFailed }: Told): boolean {
  return failed.size + moreFailed > 0;
}

/** Expect a process that begins the host's part anew: it numbers its events from the start. */
export function beginAnew(told: Told): Told {
  return { ...told, lastSequence: 0 };
}

/**
 * Return the tally with the remaining tasks counted. A task that was running when the host's part broke off has been
 * executed, and counts as failed.
 */
export function fullTally({ tally, total, started }: Told): Tally {
  const ended = countState(tally, "failed", started?.size ?? 0);
  return { ...ended, notExecuted: Math.max(0, total - tallyTotal({ ...ended, notExecuted: 0 })) };
}

/** A host that no earlier controller has seen. */
export const NOTHING_EARLIER: EarlierPart = {
  ...NOTHING_TOLD,
  end: undefined,
  known: false,
  uploadedBytes: 0,
  method: undefined,
};

/** An event about one host. */
type HostEvent = Extract<ReceivedEvent | ControllerEvent, { readonly host: string }>;

/** Add an event to the account of a host's part. */
export function foldPart(part: EarlierPart, event: HostEvent): EarlierPart {
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
    case "bye":
      // Only the end of the process ends the host's part: who attaches before that hears it again.
      return { ...part, ...fold(part, event, (event.hostSeq ?? 1) - 1), started: undefined };
    case "hello":
      // The log holds only the `hello` of a process that begins the host's part, and numbers its events from the start.
      return { ...part, ...beginAnew(fold(part, event, 0)), started: undefined };
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

function fold(before: Told, event: TargetEvent, seq: number): Told {
  const told =
    before.isJournaled || BEFORE_JOURNAL.has(event.type) ? before : { ...before, isJournaled: true };
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
        tally: countResult(told.tally, event.result),
        ...(isFailure(event) ? addFailure(told, event.task) : {}),
        restart: told.restart?.task === event.task ? undefined : told.restart,
      };
    }
    case "task:rescued": {
      const failed = new Set(told.failed);
      const isKept = failed.delete(event.task);
      if (!isKept && told.moreFailed === 0) return { ...told, lastSequence };
      const moreFailed = told.moreFailed - (isKept ? 0 : 1);
      return { ...told, lastSequence, tally: countRescued(told.tally), failed, moreFailed };
    }
    case "bye":
      return {
        ...told,
        lastSequence,
        // The process may be an earlier version's, whose tally lacks the rare counts.
        tally: addTallies([event.tally]),
        total: tallyTotal(event.tally),
        started: new Set(),
      };
    default:
      return { ...told, lastSequence };
  }
}

function addFailure({ failed, moreFailed }: Told, task: number): Pick<Told, "failed" | "moreFailed"> {
  return failed.size < MAX_FAILURES
    ? { failed: new Set(failed).add(task), moreFailed }
    : { failed, moreFailed: moreFailed + 1 };
}

function isFailure({ result: { state, ignored } }: Extract<TargetEvent, { type: "task:end" }>): boolean {
  return state === "failed" && ignored !== true;
}

function invalid(what: string): VolleyError {
  return new VolleyError("PROTOCOL_INVALID", `the host sent ${what}`);
}
