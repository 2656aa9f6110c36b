import { type SerializedError, serializeError } from "../../core/errors.ts";
import type { Outcome } from "../../core/events.ts";
import {
  afterWait,
  awayOf,
  mayCome,
  mayHelp,
  mayReturn,
  newAway,
  nextOf,
  pauseAfter,
  waitFor,
} from "./away.ts";
import { ENDS, explainLoss, outcomeOf } from "./explain.ts";
import { type Away, after, type Effect, endOf, type Next, type Session } from "./state.ts";

// The loss of a host, its return, and the end of its part: the steps of step.ts that every other may lead to.

/** Try again after an error where that may help, else end. */
export function failed(session: Session, thrown: unknown): Next {
  const { state } = session;
  if (state.is === "waiting" || state.is === "running" || state.is === "closing") return [session, []];
  if (mayCome(session, thrown)) return waitFor(session, thrown);
  if (mayHelp(session, thrown) && mayReturn(session)) return lose(session, thrown.message);
  return conclude(session, afterWait(state, session.now, thrown));
}

/** Close this connection, and try to reach the host again. */
export function lose(session: Session, reason: string): Next {
  const { state, setup, told } = session;
  const known = awayOf(state);
  const away = { ...(known ?? newAway(session, reason)), next: nextOf(session) };
  const text = told.restart === undefined && told.endsWithLogin ? `${away.why}; ${ENDS.text}` : away.why;
  const lost: Effect = {
    type: "emit",
    event: { type: "host:lost", host: setup.endpoint.host, reason: text },
  };
  return after(
    [{ type: "leave" }, ...(known === undefined ? [lost] : [])],
    tryAgain({ ...session, uploads: { ...session.uploads, damaged: 0 } }, away),
  );
}

/** Connect once more, after a pause. */
export function tryAgain(session: Session, away: Away): Next {
  const { tries, until } = away;
  return [
    { ...session, state: { is: "away", away: { ...away, tries: tries + 1 } } },
    [{ type: "connect", pauseMs: pauseAfter(tries), until }],
  ];
}

/** End the session with an error. */
export function conclude(session: Session, thrown: unknown): Next {
  const { state, setup, told, known, ending } = session;
  if (ending !== undefined) return end(session, "cancelled", undefined);
  const outcome = outcomeOf(thrown);
  const away = awayOf(state);
  if (away === undefined || outcome === "failed")
    return end(session, known && outcome === "unreachable" ? "lost" : outcome, serializeError(thrown));
  const { why, limitMs } = away;
  const loss = { why, limitMs, thrown, endsWithLogin: told.endsWithLogin };
  return end(session, "lost", serializeError(explainLoss(setup.endpoint.host, loss)));
}

/** End the host's part. */
export function end(session: Session, outcome: Outcome, error: SerializedError | undefined): Next {
  const end = endOf(session, outcome, error);
  return [{ ...session, state: { is: "ended", end } }, [{ type: "end", end }]];
}
