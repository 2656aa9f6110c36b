import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";

/**
 * Whether trying again may help: `quick` a few times (refused, reset), `once` (it took the call and said nothing),
 * `patient` (the server takes no more logins just now: sshd_config(5), MaxStartups).
 */
type Retry = "quick" | "once" | "patient";

/** How often to try again where nobody says otherwise. */
export const DEFAULT_RETRIES = 2;

const PATIENT_TRIES = 6;
const FIRST_DELAY_MS: Readonly<Record<Retry, number>> = { quick: 250, once: 250, patient: 300 };
const MAX_DELAY_MS = 5_000;

const worth = new WeakMap<VolleyError, Retry>();

/** Marks an error as one after which trying again may help. */
export function retryable(error: VolleyError, retry: Retry): VolleyError {
  worth.set(error, retry);
  return error;
}

/** What {@link retryable} said of an error; undefined: trying again is of no use. */
function retryOf(error: unknown): Retry | undefined {
  return typeof error === "object" && error !== null ? worth.get(error as VolleyError) : undefined;
}

/** Tries again after failures worth it, waiting longer each time, by chance a little more or less. Fails as the last try did. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { retries, signal }: { readonly retries: number; readonly signal: AbortSignal },
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (thrown) {
      const retry = retryOf(thrown);
      if (retry === undefined || signal.aborted || tries > allowed(retry, retries)) throw thrown;
      await pause(FIRST_DELAY_MS[retry] * 2 ** (tries - 1), signal);
    }
  }
}

function allowed(retry: Retry, retries: number): number {
  switch (retry) {
    case "quick":
      return retries;
    case "once":
      return Math.min(retries, 1);
    case "patient":
      return retries === 0 ? 0 : Math.max(retries, PATIENT_TRIES);
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  const jittered = Math.min(delayMs, MAX_DELAY_MS) * (0.5 + Math.random());
  try {
    await sleep(jittered, undefined, { signal });
  } catch {
    throw new VolleyError("CANCELLED", "connecting was cancelled");
  }
}

/** What to do where a server grants too few sessions at a time. */
export const MORE_SESSIONS_HINT =
  "raise MaxSessions in its sshd_config (OpenSSH's own value is 10); commands and SFTP sessions both count";

/** The server grants no further session on this connection: MaxSessions of sshd_config(5), or a limit of its own. */
export function sessionRefused(host: string, cause?: unknown): VolleyError {
  return new VolleyError(
    "SESSION_REFUSED",
    `${host} grants no further session on this connection: that is the MaxSessions of its sshd`,
    { ...(cause === undefined ? {} : { cause }), hint: MORE_SESSIONS_HINT },
  );
}

/**
 * The error of a host that ended a login because it had refused too many tries; `offers` says how many keys it was
 * offered, where that is known.
 */
export function tooManyFailures(host: string, user: string, offers?: string, cause?: Error): VolleyError {
  return new VolleyError(
    "AUTH_FAILED",
    `${host} ended the login of user ${user}: too many authentication failures${offers === undefined ? "" : ` (${offers})`}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: "name the right key with --private-key, or with IdentityFile and IdentitiesOnly yes in ssh_config; the host allows only so many tries (MaxAuthTries)",
    },
  );
}
