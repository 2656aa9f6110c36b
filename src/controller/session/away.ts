import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { WireEvent } from "../../core/protocol.ts";
import { RESTARTS } from "./explain.ts";
import type { Away, Effect, Next, Session, State } from "./state.ts";

// A lost host: whether it may be tried again, for how long, and what to start there.

/** Pauses between tries to reach a lost host, doubled each time. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 3_000;
/** The shortest limit for the first word of a host that is back. */
const MIN_START_MS = 2_000;
/** A host that stays this long was really back, even if it told nothing new. */
const LASTING_MS = 10_000;

/** Return the loss that is not over. */
export function awayOf(state: State): Away | undefined {
  return "away" in state ? state.away : undefined;
}

/** Return the time that a host has from now on, and how it is tried. */
export function newAway(session: Session, reason: string): Away {
  const { state, told, setup, now } = session;
  const { restart } = told;
  const limitMs = restart?.timeoutMs ?? setup.returnTimeoutMs;
  const back = "back" in state ? state.back : undefined;
  const isSame = back !== undefined && now - back.at <= LASTING_MS;
  return {
    since: now,
    until: isSame ? back.until : now + limitMs,
    limitMs,
    why: restart === undefined ? reason : RESTARTS,
    tries: back?.tries ?? 0,
    next: nextOf(session),
  };
}

/** Return the pause after this number of tries that were in vain, in milliseconds. */
export function pauseAfter(tries: number): number {
  return tries === 0 ? 0 : Math.min(MAX_PAUSE_MS, PAUSE_MS * 2 ** (tries - 1));
}

/** Return the limit for a script to say its first word, in milliseconds: a lost host has no more time than is left. */
export function startLimit({ state, setup, now }: Session): number {
  const away = awayOf(state);
  return away === undefined
    ? setup.startTimeoutMs
    : Math.min(setup.startTimeoutMs, Math.max(MIN_START_MS, away.until - now));
}

/** Return the script for the next connection: launch where no process of the run can be there. */
export function nextOf({ state, setup, known }: Session): Away["next"] {
  if (state.is === "away") return state.away.next;
  if (!setup.mayLaunch) return "attach";
  const hasRestarted = state.is === "closing" && state.last.type === "gone" && state.last.restarted;
  const isUntold = state.is === "starting" && !state.listening && state.script.is !== "attach";
  return !known || hasRestarted || isUntold ? "launch" : "attach";
}

/** Return whether the run continues, or can continue, although its process ended without `bye`. */
export function goesOn(session: Session, gone: Extract<WireEvent, { type: "gone" }> | undefined): boolean {
  if (!mayReturn(session)) return false;
  // The journal says how far the run came, whatever ended the process.
  if (gone === undefined) return true;
  return gone.running === true || (gone.asked === true && (!gone.restarted || session.setup.mayLaunch));
}

/** Return whether the host may be tried again, and has time left. */
export function mayReturn({ state, via, ending, now }: Session): boolean {
  const away = awayOf(state);
  return via !== "direct" && ending?.how !== "kill" && (away === undefined || now < away.until);
}

/** Return whether a host that was never reached may still come after this error, and has time left. */
export function mayCome({ state, setup, ending, now }: Session, thrown: unknown): thrown is VolleyError {
  if (state.is !== "connecting" || ending !== undefined || !isVolleyError(thrown)) return false;
  // A machine that is being made knows its users and keys last.
  const isAbsent = thrown.code === "CONNECT_FAILED" || thrown.code === "AUTH_FAILED";
  return isAbsent && now < state.since + setup.waitMs;
}

/** Try again to reach a host that is not there yet; the first time, tell so. */
export function waitFor(session: Session, { message }: VolleyError): Next {
  const { state, setup } = session;
  if (state.is !== "connecting") return [session, []];
  const { since, tries } = state;
  const text = `not there yet, tried again for ${setup.waitMs / 1_000} s: ${message}`;
  const log: Effect = {
    type: "emit",
    event: { type: "log", host: setup.endpoint.host, level: "info", text },
  };
  return [
    { ...session, state: { is: "connecting", since, tries: tries + 1 } },
    [...(tries === 0 ? [log] : []), { type: "connect", pauseMs: pauseAfter(tries + 1), until: undefined }],
  ];
}

/** Return the error of a host that did not come, with the time it was given. */
export function afterWait(state: State, now: number, thrown: unknown): unknown {
  if (state.is !== "connecting" || state.tries === 0 || !isVolleyError(thrown)) return thrown;
  const waited = Math.round((now - state.since) / 1_000);
  return new VolleyError(thrown.code, `${thrown.message} (tried for ${waited} s)`);
}

/** Return whether another try may succeed after this error. */
export function mayHelp({ state, told, ending, known }: Session, thrown: unknown): thrown is VolleyError {
  if (!isVolleyError(thrown) || state.is === "connecting") return false;
  if (ending !== undefined && !known) return false;
  const isAway = awayOf(state) !== undefined;
  switch (thrown.code) {
    case "CONNECTION_LOST":
      return true;
    case "CONNECT_FAILED":
    case "TIMEOUT":
      return isAway;
    case "AUTH_FAILED":
      // A host that starts up accepts only root's logins until it is up: pam_nologin(8).
      return isAway && told.restart !== undefined;
    default:
      return false;
  }
}
