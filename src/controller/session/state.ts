import type { SerializedError, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, HostEnd, Outcome, Phase, ReceivedEvent } from "../../core/events.ts";
import type { Command, Question, WireEvent } from "../../core/protocol.ts";
import type { RuntimeMode, RuntimeTraits } from "../../core/runtimes.ts";
import { type Become, keepsOwnCopy } from "../../core/unix/users.ts";
import type { Endpoint } from "../../transport/transport.ts";
import type { LaunchAnswer, NodeLook } from "./answers.ts";
import type { ProcessEnd } from "./explain.ts";
import { fullTally, hasFailed, NOTHING_EARLIER, type Told } from "./told.ts";

// A host's part of a run: its state, the inputs and effects of step.ts, and the small functions that its steps share.

/** The way to work on a host: by a bundle on the host, directly from the controller, or by a bundle if the host has a usable Node, or can be sent one. */
export type Via = "bundle" | "direct" | "auto";

/** The constants of a session. */
export interface Setup {
  readonly endpoint: Pick<Endpoint, "host" | "address" | "port" | "user">;
  readonly become: Become | null;
  readonly bundle: {
    readonly id: string;
    readonly bytes: { readonly length: number };
    readonly reused: boolean;
  };
  /** Indexes of the plays that the host takes part in. */
  readonly plays: readonly number[];
  /** False when the playbook has changed since the run began: the host may then only report. */
  readonly mayLaunch: boolean;
  /** Limit from starting a script to its first word. */
  readonly startTimeoutMs: number;
  /** Limit for reaching a lost host again. */
  readonly returnTimeoutMs: number;
  /** Limit for reaching a host for the first time, where a first try was in vain; 0 for that try alone. */
  readonly waitMs: number;
  /** The way to get Node onto a host that has none. */
  readonly node: NodeSetup;
}

/** The way to get Node onto a host that has none. */
export interface NodeSetup {
  readonly mode: RuntimeMode;
  /** The runtimes that the controller has; none unless the mode is `send`. */
  readonly runtimes: readonly RuntimeTraits[];
  /** The directory of runtimes on the host. Default: the cache of the user who runs the bundle. */
  readonly directory?: string | undefined;
}

/** The controller's knowledge of a host's part of a run. */
export interface Session {
  readonly setup: Setup;
  readonly via: Via;
  readonly state: State;
  readonly told: Told;
  /** Commands to send again whenever the controller finds the host's process again. */
  readonly said: readonly Command[];
  /** True once the host may have received its job: it may then be at work without a connection. */
  readonly known: boolean;
  readonly ending: Ending | undefined;
  readonly limit: (PlayLimit & { readonly expired: boolean }) | undefined;
  readonly uploads: Uploads;
  /** True once the host was asked for the version of its Node, or its package manager for Node: a second time would find no more. */
  readonly nodeTried: {
    readonly version: boolean;
    readonly install: boolean;
    /** The reason that a package manager gave when it failed. */
    readonly installFailure?: string;
  };
  /** The time of the last input, in milliseconds. */
  readonly now: number;
  readonly clock: Clock;
}

/** The state of the host's part. */
export type State =
  /** Waits for a place among the hosts at work. */
  | { readonly is: "waiting" }
  /** Connects for the first time. */
  | { readonly is: "connecting"; readonly since: number; readonly tries: number }
  /** Has been lost, and connects again. */
  | { readonly is: "away"; readonly away: Away }
  /** Has started a script that has not said its first word yet. */
  | {
      readonly is: "starting";
      readonly script: Script;
      /** False until sudo or su is done: they would read standard input as a password. */
      readonly listening: boolean;
      /** Events that arrived before that: standard output may overtake the dialogue on standard error. */
      readonly early: readonly Input[];
      readonly away?: Away | undefined;
    }
  | { readonly is: "uploading"; readonly upload: Upload; readonly away?: Away | undefined }
  /** The host carries out its job. It may still be away: a host about to restart is, until it has restarted. */
  | {
      readonly is: "running";
      readonly away?: Away | undefined;
      readonly back?: Back | undefined;
    }
  /** The host has said its last word, and its process is about to end. */
  | {
      readonly is: "closing";
      readonly last: Extract<WireEvent, { type: "bye" | "gone" }>;
      readonly away?: Away | undefined;
      readonly back?: Back | undefined;
    }
  | { readonly is: "ended"; readonly end: HostEnd };

/** A script of launch.ts, or the agent of `direct`. */
export type Script =
  /** Start the bundle, or say that it is absent. `left`: the number of an upload that may have left a part behind. */
  | {
      readonly is: "launch";
      readonly left: number | undefined;
      /** How the script looks for Node; undefined: not at all. */
      readonly look: NodeLook | undefined;
      /** A runtime for the user to become, who asks for it. Default: none is sent. */
      readonly bring?: RuntimeTraits;
      readonly expectsUpload: boolean;
    }
  /** Verify an upload, and start the bundle. */
  | { readonly is: "verify"; readonly upload: Upload }
  /** Install Node by the host's package manager. */
  | { readonly is: "install" }
  /** Find the run again, and tell its events from this sequence number on. */
  | { readonly is: "attach"; readonly from: number }
  | { readonly is: "direct" };

/** Files to send to temporary names. */
export interface Upload {
  readonly number: number;
  readonly bundle: boolean;
  readonly runtime: RuntimeTraits | undefined;
}

/** The time from losing a host to its return. */
export interface Away {
  readonly since: number;
  readonly until: number;
  readonly limitMs: number;
  readonly why: string;
  /** Number of tries since the host last told anything new. */
  readonly tries: number;
  /** The script to start once connected. */
  readonly next: "launch" | "attach";
}

/** A host that came back and has told nothing new: when it is lost again, it gets no more time. */
export interface Back extends Pick<Away, "until" | "tries"> {
  readonly at: number;
}

/** The order to end, and its reason. */
interface Ending {
  readonly how: "cancel" | "kill";
  readonly why: EndReason | undefined;
}

/** The reason for cancelling a host's part other than Ctrl-C; it becomes the outcome. */
export interface EndReason {
  readonly outcome: "cancelled" | "failed";
  readonly error: SerializedError;
}

/** The time limit of the play at work. */
export interface PlayLimit {
  readonly index: number;
  readonly name: string;
  readonly limitMs: number;
  /** Limit for ending cleanly once the time is up. */
  readonly graceMs: number;
}

interface Uploads {
  readonly bytes: number;
  /** Number of the last upload. */
  readonly count: number;
  /** Number of uploads over this connection that arrived damaged. */
  readonly damaged: number;
  /** Number of an upload that may have left a part behind. */
  readonly left: number | undefined;
}

interface Clock {
  readonly startedAt: number;
  /** The start of the current phase. */
  readonly mark: number;
  readonly phases: Readonly<Partial<Record<Phase, number>>>;
  /** The time at which the host reached the last barrier. */
  readonly waitingSince: number | undefined;
}

/** Timers of a session: starting one again replaces it. */
export type TimerName = "last word" | "kill" | "play" | "grace";

/** An input of a session: a command, an event of the host, the connection or a timer. */
export type Input =
  /* From the schedule. */
  | { readonly type: "begin" }
  /** Go on after the play with this index. */
  | { readonly type: "continue"; readonly play: number }
  | { readonly type: "limit"; readonly limit: PlayLimit }
  | { readonly type: "say"; readonly command: Command }
  /** End after the action now running. */
  | { readonly type: "cancel"; readonly why?: EndReason | undefined }
  /** End now. */
  | { readonly type: "kill" }
  /* From the connection. */
  | { readonly type: "connected"; readonly connectMs: number; readonly authenticateMs: number }
  | { readonly type: "uploaded"; readonly bytes: number }
  /** Connecting, uploading or starting a script failed, or the first word did not come in time. */
  | { readonly type: "failed"; readonly error: unknown }
  /* From the host's process. */
  /** The process reads commands from now on. */
  | { readonly type: "ready" }
  /** The script ended, and named its reason not to start the bundle. */
  | { readonly type: "word"; readonly word: LaunchAnswer; readonly rest: readonly string[] }
  | { readonly type: "event"; readonly event: WireEvent }
  | { readonly type: "question"; readonly question: Question }
  /** The whole result of a task, for other hosts. */
  | { readonly type: "share"; readonly task: number; readonly whole: string | undefined }
  /** The host broke the protocol. */
  | { readonly type: "broken"; readonly error: VolleyError }
  | { readonly type: "exited"; readonly end: ProcessEnd }
  | { readonly type: "timer"; readonly timer: TimerName };

/** An action of the driver. The effects of a step are carried out in order. */
export type Effect =
  /** Wait, connect, and give up at `until`. */
  | { readonly type: "connect"; readonly pauseMs: number; readonly until: number | undefined }
  /** Start a script, which must say its first word in time. */
  | { readonly type: "exec"; readonly script: Script; readonly limitMs: number }
  | { readonly type: "upload"; readonly upload: Upload }
  /** Write the job; the host tells its events after this sequence number. */
  | { readonly type: "job"; readonly after: number }
  | { readonly type: "write"; readonly command: Command }
  | { readonly type: "emit"; readonly event: ReceivedEvent | ControllerEvent }
  | { readonly type: "ask"; readonly question: Question }
  /** Keep the whole result of a task, for other hosts; once that is done, the host is told `taken`. */
  | { readonly type: "keep"; readonly task: number; readonly whole: string | undefined }
  /** Tell the schedule that a play has ended here. */
  | { readonly type: "play"; readonly index: number; readonly failed: boolean }
  | { readonly type: "wait"; readonly timer: TimerName; readonly ms: number }
  | { readonly type: "unwait"; readonly timer: TimerName }
  /** End what is being opened or sent. */
  | { readonly type: "abort" }
  /** Close this connection; another one follows. */
  | { readonly type: "leave" }
  /** Close everything, and tell how the host's part ended. */
  | { readonly type: "end"; readonly end: HostEnd };

/** Return whether anything can bring Node onto a host that has none. */
export function canBringNode({ mode, runtimes }: NodeSetup): boolean {
  return mode === "package" || runtimes.length > 0;
}

/** The session after a step, and the effects of the step. */
export type Next = readonly [Session, readonly Effect[]];

/** Return the session before its first input. `earlier`: the host's part in the log of an earlier controller. */
export function openSession(setup: Setup, via: Via, now: number, earlier = NOTHING_EARLIER): Session {
  const { end, known, uploadedBytes, method, ...told } = earlier;
  return {
    setup,
    via: method === "direct" ? "direct" : via,
    state: end === undefined ? { is: "waiting" } : { is: "ended", end },
    told: { ...told, play: told.play ?? setup.plays[0] },
    said: [],
    known,
    ending: undefined,
    limit: undefined,
    uploads: { bytes: uploadedBytes, count: 0, damaged: 0, left: undefined },
    nodeTried: { version: false, install: false },
    now,
    clock: { startedAt: now, mark: now, phases: {}, waitingSince: undefined },
  };
}

/** How far a host is in its run. */
interface Standing extends Pick<Session, "known"> {
  readonly state: Pick<State, "is">;
  readonly told: Pick<Told, "play" | "endedPlays">;
}

/** Return whether the host is at the play with this index. */
export function isAt({ state, known, told }: Standing, index: number): boolean {
  return state.is !== "ended" && (state.is !== "waiting" || known) && told.play === index;
}

/** Return whether the host ended, or failed, before it reached the play with this index. */
export function hasEndedBefore({ state, told }: Omit<Standing, "known">, index: number): boolean {
  return (state.is === "ended" || [...told.endedPlays.values()].includes(true)) && (told.play ?? 0) < index;
}

/** Put effects before those of a step. */
export function after(effects: readonly Effect[], [session, more]: Next): Next {
  return [session, [...effects, ...more]];
}

/** Return whether a process reads commands. */
export function isListening(state: State): boolean {
  return state.is === "running" || state.is === "closing" || (state.is === "starting" && state.listening);
}

/** Return the effect of sending a command to a process, if one listens. */
export function write({ state }: Session, command: Command): readonly Effect[] {
  return isListening(state) ? [{ type: "write", command }] : [];
}

/** Return the effects of sending every command again: the process, or the connection, may not have delivered them. */
export function sayAgain({ said, ending }: Session): readonly Effect[] {
  const commands: readonly Command[] = ending === undefined ? said : [...said, { type: "cancel" }];
  return commands.map((command) => ({ type: "write", command }));
}

/** Return an event of the host as the run reports it. */
export function asReceived({ setup }: Session, { seq, time: _time, ...event }: WireEvent): ReceivedEvent {
  return { ...event, host: setup.endpoint.host, hostSeq: seq };
}

/** Return the end of the host's part as the run reports it. */
export function endOf(session: Session, outcome: Outcome, error: SerializedError | undefined): HostEnd {
  const { setup, told, clock, uploads, now } = session;
  return {
    type: "host:end",
    host: setup.endpoint.host,
    ...withReason(session, outcome, error),
    tally: fullTally(told),
    elapsedMs: now - clock.startedAt,
    phases: clock.phases,
    uploadedBytes: uploads.bytes,
  };
}

/** Replace "cancelled" by the reason for cancelling, unless the host had failed by itself before the cancelling. */
function withReason(
  { ending, told }: Session,
  outcome: Outcome,
  error: SerializedError | undefined,
): Pick<HostEnd, "outcome" | "error"> {
  const why = outcome === "cancelled" ? ending?.why : undefined;
  if (why !== undefined && (why.outcome === "failed" || !hasFailed(told))) return why;
  return { outcome: why === undefined ? outcome : "failed", ...(error === undefined ? {} : { error }) };
}

/** Return whether the bundle is sent on standard input, to a user that keeps its own copy. */
export function sendsToUser({ become }: Setup): boolean {
  return become !== null && keepsOwnCopy(become);
}

/** Note that no upload has left a part behind. */
export function forgetUpload(session: Session): Session {
  return { ...session, uploads: { ...session.uploads, left: undefined } };
}

/** Count the time since the last mark for this phase, and mark again. */
export function takePhase(session: Session, phase: Phase): Session {
  const { clock, now } = session;
  const { mark, phases } = clock;
  return { ...session, clock: { ...clock, mark: now, phases: addPhase(phases, phase, now - mark) } };
}

/** Add to the time of a phase. */
export function addPhase(phases: Phases, phase: Phase, milliseconds: number): Phases {
  return { ...phases, [phase]: (phases[phase] ?? 0) + milliseconds };
}

type Phases = Session["clock"]["phases"];
