import { CORRUPT } from "../../core/bundle.ts";
import { serializeError, VolleyError } from "../../core/errors.ts";
import type { Command, WireEvent } from "../../core/protocol.ts";
import { INSTALLED, LAUNCH_EXITS, type LaunchAnswer } from "./answers.ts";
import { goesOn, mayReturn, newAway, nextOf } from "./away.ts";
import {
  explainDamage,
  explainDirectEnd,
  explainFailedStart,
  explainSilence,
  type ProcessEnd,
  RESTARTS,
  reasonOf,
  silentEnd,
} from "./explain.ts";
import { conclude, end, failed, lose, tryAgain } from "./loss.ts";
import { answeredAboutNode, lacksNode } from "./node.ts";
import { launch, send, start } from "./start.ts";
import {
  addPhase,
  after,
  asReceived,
  type Effect,
  type EndReason,
  forgetUpload,
  type Input,
  isListening,
  type Next,
  type PlayLimit,
  type Script,
  type Session,
  sayAgain,
  sendsToUser,
  type TimerName,
  takePhase,
  write,
} from "./state.ts";
import { beginAnew, FIRST_JOURNALED, hasFailed, hear } from "./told.ts";

const MAX_DAMAGED = 2;
/** Limit for a process to end after its last word. */
const LAST_WORD_MS = 5_000;
/** Limit for a host to end after `kill`. */
const KILL_MS = 1_000;

/**
 * Return the next state of one host's part of a run, and the effects of the input. `now`: milliseconds of a clock that
 * never goes back. Pure: driver.ts carries the effects out, and turns their results into inputs.
 */
export function step(before: Session, input: Input, now: number): Next {
  if (before.state.is === "ended") return [before, []];
  const session = { ...before, now };
  switch (input.type) {
    case "begin":
      return begin(session);
    case "continue":
      return goOn(session, input.play);
    case "limit":
      return setLimit(session, input.limit);
    case "say":
      return say(session, input.command);
    case "cancel":
      return cancel(session, input.why);
    case "kill":
      return kill(session);
    case "connected":
      return connected(session, input);
    case "uploaded":
      return uploaded(session, input.bytes);
    case "ready":
      return ready(session);
    case "word":
      return answered(session, input.word, input.rest);
    case "event":
    case "question":
    case "share":
      return listen(session, input);
    case "broken":
      return broken(session, input.error);
    case "exited":
      return exited(session, input.end);
    case "failed":
      return failed(session, input.error);
    case "timer":
      return expired(session, input.timer);
  }
}

/* Orders of the schedule. */

function begin(session: Session): Next {
  if (session.state.is !== "waiting") return [session, []];
  const { setup, told } = session;
  // The controller before this one was ended while the host restarted.
  if (told.restart !== undefined) return tryAgain(session, newAway(session, RESTARTS));
  const { host, address, port, user } = setup.endpoint;
  return [
    { ...session, state: { is: "connecting", since: session.now, tries: 0 } },
    [
      { type: "emit", event: { type: "host:connect", host, address, port, user } },
      { type: "connect", pauseMs: 0, until: undefined },
    ],
  ];
}

function goOn(session: Session, after: number): Next {
  const { clock, told, setup, now } = session;
  const waited = addPhase(clock.phases, "wait", now - (clock.waitingSince ?? now));
  const next = setup.plays.find((index) => index > after) ?? told.play;
  return say(
    { ...session, clock: { ...clock, phases: waited, mark: now }, told: { ...told, play: next } },
    { type: "continue", play: after },
  );
}

function setLimit(session: Session, limit: PlayLimit): Next {
  // The time of an earlier play is up: that limit ends the host.
  if (session.limit?.expired === true || session.told.endedPlays.has(limit.index)) return [session, []];
  return [
    { ...session, limit: { ...limit, expired: false } },
    [{ type: "wait", timer: "play", ms: limit.limitMs }],
  ];
}

/** Send a command now if the host listens, and again whenever its process is found again. */
function say(session: Session, command: Command): Next {
  return [{ ...session, said: [...session.said, command] }, write(session, command)];
}

function cancel(session: Session, why: EndReason | undefined): Next {
  if (session.ending !== undefined) return [session, []];
  const { state, known } = session;
  const ending: Session = { ...session, ending: { how: "cancel", why } };
  if (isListening(state)) return [ending, write(ending, { type: "cancel" })];
  // The driver first removes the part that was sent.
  if (state.is === "uploading") return [ending, [{ type: "abort" }]];
  // A host that may be at work gets the `cancel` once its process is found.
  return known && state.is !== "waiting" ? [ending, []] : end(ending, "cancelled", undefined);
}

function kill(session: Session): Next {
  if (session.ending?.how === "kill") return [session, []];
  const { state } = session;
  const ending: Session = { ...session, ending: { how: "kill", why: session.ending?.why } };
  if (!isListening(state) && state.is !== "uploading") return end(ending, "cancelled", undefined);
  return [
    ending,
    [...write(session, { type: "kill" }), { type: "abort" }, { type: "wait", timer: "kill", ms: KILL_MS }],
  ];
}

function expired(session: Session, timer: TimerName): Next {
  const { limit, setup } = session;
  switch (timer) {
    case "last word":
      return exited(session, silentEnd({ kind: "lost", reason: "its process did not end" }));
    case "kill":
      return end(session, "cancelled", undefined);
    case "grace":
      return kill(session);
    case "play": {
      if (limit === undefined) return [session, []];
      const message = `${setup.endpoint.host}: play "${limit.name}" took longer than ${limit.limitMs / 1_000} s`;
      const [next, effects] = cancel(
        { ...session, limit: { ...limit, expired: true } },
        { outcome: "failed", error: { code: "TIMEOUT", message } },
      );
      if (next.state.is === "ended") return [next, effects];
      return [next, [...effects, { type: "wait", timer: "grace", ms: limit.graceMs }]];
    }
  }
}

/* From the connection to the host's first word. */

function connected(
  session: Session,
  { connectMs, authenticateMs }: Extract<Input, { type: "connected" }>,
): Next {
  const { state, setup, clock, now } = session;
  if (state.is !== "connecting" && state.is !== "away") return [session, []];
  const { host } = setup.endpoint;
  const phases = addPhase(addPhase(clock.phases, "connect", connectMs), "authenticate", authenticateMs);
  const here = { ...session, clock: { ...clock, phases, mark: now } };
  return after(
    [{ type: "emit", event: { type: "host:connected", host, elapsedMs: connectMs + authenticateMs } }],
    nextOf(session) === "launch" ? launch(here) : attach(here),
  );
}

function attach(session: Session): Next {
  const { setup, via, told } = session;
  if (via === "direct") return failed(session, explainDirectEnd(setup.endpoint.host));
  return start(session, { is: "attach", from: Math.max(FIRST_JOURNALED, told.lastSequence + 1) });
}

function ready(session: Session): Next {
  const { state, told } = session;
  if (state.is !== "starting" || state.listening) return [session, []];
  const listening: Session = { ...session, state: { ...state, listening: true, early: [] } };
  const begun: Next =
    state.script.is === "attach" || state.script.is === "install"
      ? [listening, []]
      : [{ ...listening, known: true }, [{ type: "job", after: told.lastSequence }, ...sayAgain(listening)]];
  return state.early.reduce(
    ([next, effects], input) => after(effects, step(next, input, session.now)),
    begun,
  );
}

/** The script ended, and named its reason not to start the bundle. */
function answered(session: Session, word: LaunchAnswer, rest: readonly string[]): Next {
  const { state, setup, uploads } = session;
  if (state.is !== "starting") return [session, []];
  const { script } = state;
  if (script.is === "attach" || script.is === "direct")
    return exited(session, silentEnd({ kind: "exited", code: 0 }));
  const aboutNode = answeredAboutNode(session, word, rest);
  if (aboutNode !== undefined) return aboutNode;
  const toUser = sendsToUser(setup);
  // The script misses a bundle that was sent: the bundle arrived damaged.
  const damaged = uploads.damaged + (word === CORRUPT || script.is === "verify" || toUser ? 1 : 0);
  const absent: Session = { ...session, known: false, uploads: { ...uploads, damaged, left: undefined } };
  if (damaged === MAX_DAMAGED)
    return failed(absent, explainDamage(setup.endpoint.host, setup.bundle.id, MAX_DAMAGED));
  if (session.ending !== undefined) return end(absent, "cancelled", undefined);
  // Which of the files arrived damaged is asked for.
  if (toUser || (script.is === "verify" && script.upload.runtime !== undefined)) return launch(absent);
  return send(absent, { bundle: true, runtime: undefined });
}

function uploaded(session: Session, bytes: number): Next {
  const { state, uploads } = session;
  if (state.is !== "uploading" && state.is !== "starting") return [session, []];
  const sent = takePhase({ ...session, uploads: { ...uploads, bytes: uploads.bytes + bytes } }, "upload");
  // A process on its way to another user received the files on standard input, and continues by itself.
  if (state.is === "starting") return [sent, []];
  if (session.ending !== undefined) return end(sent, "cancelled", undefined);
  return start(sent, { is: "verify", upload: state.upload });
}

/** The script, or the bundle, ended before `hello`. */
function notStarted(session: Session, script: Script, processEnd: ProcessEnd): Next {
  const { setup, told } = session;
  const { exit } = processEnd;
  const { endpoint, mayLaunch, become } = setup;
  const code = exit.kind === "exited" ? exit.code : undefined;
  const launches = script.is === "launch" || script.is === "verify";
  if (launches && code === LAUNCH_EXITS.noNode) {
    const next = lacksNode(session);
    if (next !== undefined) return next;
  }
  if (script.is === "install") return answeredAboutNode(session, INSTALLED, [])!;
  // The host may be at work nevertheless, or about to restart.
  if ((exit.kind === "lost" || told.restart !== undefined) && mayReturn(session))
    return lose(session, reasonOf(exit));
  if (script.is === "attach" && code === LAUNCH_EXITS.unknownRun) {
    // A process that ended before it opened its journal has left nothing to continue.
    if (mayLaunch) return launch(told.isJournaled ? session : { ...session, told: beginAnew(told) });
    const text = `${endpoint.host} was not begun, and the playbook has changed since`;
    return failed(session, new VolleyError("CANCELLED", text));
  }
  const known = script.is === "attach" && session.known;
  return failed({ ...session, known }, explainFailedStart(endpoint, become, processEnd));
}

/* Events of the host. */

/** Handle a message of the process. An impossible event breaks the protocol. */
function listen(session: Session, input: Said): Next {
  const { state } = session;
  if (state.is !== "starting" && state.is !== "running") return [session, []];
  if (state.is === "starting" && !state.listening)
    return [{ ...session, state: { ...state, early: [...state.early, input] } }, []];
  const what = input.type === "event" ? input.event.type : input.type;
  if (state.is === "starting" && what !== "hello")
    return broken(session, new VolleyError("PROTOCOL_INVALID", `the host sent "${what}" first`));
  switch (input.type) {
    case "event": {
      let received: Session;
      try {
        received = take(session, input.event);
      } catch (thrown) {
        return broken(session, thrown);
      }
      return heard(session, received, input.event);
    }
    // Neither is an event: it has no number, and may be said again.
    case "question":
      return [session, [{ type: "ask", question: input.question }]];
    case "share":
      return [session, [{ type: "keep", task: input.task, whole: input.whole }]];
  }
}

type Said = Extract<Input, { type: "event" | "question" | "share" }>;

function heard(session: Session, received: Session, event: WireEvent): Next {
  const emit: Effect = { type: "emit", event: asReceived(session, event) };
  switch (event.type) {
    case "hello": {
      // The greeting of a process that was started before, or again, is no event of the run.
      const isOfRun = event.next === undefined && session.told.lastSequence <= event.seq;
      return after(isOfRun ? [emit] : [], greeted(received));
    }
    case "gone":
      return closing(received, event, []);
    case "bye":
      return closing(received, event, [emit]);
    case "facts":
      return [takePhase(received, "facts"), [emit]];
    case "play:end":
      return after([emit], playEnded(takePhase(received, "tasks"), event));
    case "task:end": {
      const hasRestarted = session.told.restart !== undefined && received.told.restart === undefined;
      return after([emit], hasRestarted ? comeBack(received) : [received, []]);
    }
    default:
      return [received, [emit]];
  }
}

function take(session: Session, event: WireEvent): Session {
  const { state, told, setup } = session;
  const received = { ...session, told: hear(told, event, setup.plays) };
  const isNew = event.type !== "hello" && event.type !== "gone" && event.seq > told.lastSequence;
  if (!isNew || state.is !== "running" || (state.back ?? state.away) === undefined) return received;
  // The host is really back: a new loss gets the whole time, and a first try at once.
  const away = state.away === undefined ? undefined : { ...state.away, tries: 0 };
  return { ...received, state: { is: "running", away } };
}

/** The bundle, or the process found again, said hello. */
function greeted(session: Session): Next {
  const { state, setup, via, uploads, told } = session;
  if (state.is !== "starting") return [session, []];
  const { script, away } = state;
  const running: Session = { ...session, state: { is: "running", away } };
  if (script.is === "attach") {
    // A host that is about to restart has not gone down yet: it is not back.
    const [back, effects] = told.restart === undefined ? comeBack(running) : [running, []];
    return [back, [...effects, ...sayAgain(back)]];
  }
  const { host } = setup.endpoint;
  const wasThere = script.is === "launch" && uploads.bytes === 0;
  const method = via === "direct" ? "direct" : "bundle";
  return after(
    [
      ...(wasThere ? [{ type: "emit", event: { type: "host:cached", host } } as const] : []),
      { type: "emit", event: { type: "host:start", host, method } },
    ],
    comeBack(takePhase(forgetUpload(running), "start")),
  );
}

function comeBack(session: Session): Next {
  const { state, setup } = session;
  if (state.is !== "running" || state.away === undefined) return [session, []];
  const { since, until, tries } = state.away;
  return [
    { ...session, state: { is: "running", back: { at: session.now, until, tries } } },
    [{ type: "emit", event: { type: "host:back", host: setup.endpoint.host, awayMs: session.now - since } }],
  ];
}

function playEnded(session: Session, { index, failed }: Extract<WireEvent, { type: "play:end" }>): Next {
  const { limit, ending, clock } = session;
  const waiting: Session = { ...session, clock: { ...clock, waitingSince: session.now } };
  const play: Effect = { type: "play", index, failed: failed || ending?.why?.outcome === "failed" };
  if (limit?.index !== index || limit.expired) return [waiting, [play]];
  return [{ ...waiting, limit: undefined }, [{ type: "unwait", timer: "play" }, play]];
}

function closing(
  session: Session,
  last: Extract<WireEvent, { type: "bye" | "gone" }>,
  effects: readonly Effect[],
): Next {
  const { state } = session;
  if (state.is !== "running") return [session, effects];
  return [
    { ...session, state: { ...state, is: "closing", last } },
    [...effects, { type: "wait", timer: "last word", ms: LAST_WORD_MS }],
  ];
}

function exited(session: Session, processEnd: ProcessEnd): Next {
  const { state, setup, told, ending } = session;
  if (state.is === "starting") return notStarted(session, state.script, processEnd);
  if (state.is !== "running" && state.is !== "closing") return [session, []];
  const last = state.is === "closing" ? state.last : undefined;
  if (last?.type !== "bye" && goesOn(session, last)) return lose(session, reasonOf(processEnd.exit));
  const done = takePhase(session, "collect");
  if (last?.type === "bye") {
    if (last.cancelled === true) return end(done, "cancelled", undefined);
    if (last.error !== undefined) return end(done, "failed", last.error);
    return end(done, hasFailed(told) ? "failed" : "ok", undefined);
  }
  if (ending !== undefined) return end(done, "cancelled", undefined);
  const silence = explainSilence(setup.endpoint.host, processEnd, last, told.endsWithLogin);
  return end(done, "lost", silence);
}

/** The host broke the protocol: kill its process, which would else hold the host's lock, and stop listening to it. */
function broken(session: Session, thrown: unknown): Next {
  return after(
    write(session, { type: "kill" }),
    session.state.is === "starting"
      ? conclude(session, thrown)
      : end(session, "lost", serializeError(thrown)),
  );
}
