import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";
import type { Endpoint } from "./transport.ts";

/**
 * The way to retry a failed connection: `quick` a few times (refused, reset), `once` (the host accepted the connection
 * and sent nothing), `patient` (the server accepts no more logins at the moment: sshd_config(5), MaxStartups).
 */
export type Retry = "quick" | "once" | "patient";

/** Default number of retries. */
const DEFAULT_RETRIES = 2;

const PATIENT_TRIES = 6;
const FIRST_DELAY_MS: Readonly<Record<Retry, number>> = { quick: 250, once: 250, patient: 300 };
const MAX_DELAY_MS = 5_000;

const worth = new WeakMap<VolleyError, Retry>();

/** Mark an error as worth a retry. */
export function retryable(error: VolleyError, retry: Retry): VolleyError {
  worth.set(error, retry);
  return error;
}

/** Return the mark of {@link retryable}; undefined when a retry is of no use. */
export function retryOf(error: unknown): Retry | undefined {
  return typeof error === "object" && error !== null ? worth.get(error as VolleyError) : undefined;
}

/** The limits of {@link withRetries}. */
export interface RetryOptions {
  /** Default: 2. */
  readonly retries: number | undefined;
  readonly signal: AbortSignal;
}

/** Retry after failures that are worth it, after growing pauses of random length. Fails as the last try did. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { retries = DEFAULT_RETRIES, signal }: RetryOptions,
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

/** Return `host (address:port)`, an IPv6 address in brackets. */
export function whereOf({ host, address, port }: Endpoint): string {
  return `${host} (${address.includes(":") ? `[${address}]` : address}:${port})`;
}

/** Return the error of a cancelled connection. */
export function connectCancelled({ host }: Endpoint): VolleyError {
  return new VolleyError("CANCELLED", `connecting to ${host} was cancelled`);
}

/** Await a promise until the signal is given; then fail with an error at once. */
export async function orAborted<T>(
  wanted: Promise<T>,
  signal: AbortSignal,
  cancelled: () => VolleyError,
): Promise<T> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(cancelled());
  });
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([wanted, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Return the error of a host that took too long. */
export function timedOut(endpoint: Endpoint, timeoutMs: number): VolleyError {
  return new VolleyError(
    "CONNECT_FAILED",
    `${whereOf(endpoint)} did not answer within ${timeoutMs / 1000} s`,
  );
}

/**
 * Return the error of a host that ended a login after too many refused tries; `offers` counts the keys that were offered,
 * where that is known.
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

/** The hint for a server that grants too few sessions at a time. */
export const MORE_SESSIONS_HINT =
  "raise MaxSessions in its sshd_config (OpenSSH's own value is 10); commands and SFTP sessions both count";

/** Return the error of a server that grants no further session on a connection: MaxSessions of sshd_config(5), or a limit of its own. */
export function sessionRefused(host: string, cause?: unknown): VolleyError {
  return new VolleyError(
    "SESSION_REFUSED",
    `${host} grants no further session on this connection: that is the MaxSessions of its sshd`,
    { ...(cause === undefined ? {} : { cause }), hint: MORE_SESSIONS_HINT },
  );
}
