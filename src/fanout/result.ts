import type { SerializedError } from "../core/errors.ts";
import type { Outcome } from "../core/events.ts";
import type { RemoteExit } from "../transport/transport.ts";

/** What became of a command on a host. */
export type ExecOutcome =
  | "ok"
  /** It exited with another code than 0, or by a signal. */
  | "failed"
  | "timedOut"
  | "unreachable"
  /** The connection went while it ran. */
  | "lost"
  /** Ended from here, or never begun. */
  | "cancelled";

/** How a command went on one host. */
export interface HostResult {
  readonly host: string;
  readonly outcome: ExecOutcome;
  /** Undefined when the command was not begun. */
  readonly exit: RemoteExit | undefined;
  readonly error: SerializedError | undefined;
  /** From the beginning of the connection. */
  readonly elapsedMs: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

/** The signal that ended a process, in a few words: `killed by TERM`. */
export function describeSignal(signal: string): string {
  // sshd has no name for real-time signals, and tells this instead (RFC 4254, section 6.10).
  if (signal.includes("@")) return "killed by a real-time signal";
  return `killed by ${signal.replace(/^SIG/, "")}`;
}

/** The outcome that it would be of a host's part of a run. */
export function outcomeOf(outcome: ExecOutcome): Outcome {
  return outcome === "timedOut" ? "failed" : outcome;
}

/** The exit code of a whole fan-out: 130 cancelled, 4 some host unreachable or lost, 2 some host failed, else 0. */
export function exitCodeOf(results: readonly Pick<HostResult, "outcome">[]): 0 | 2 | 4 | 130 {
  const has = (...outcomes: readonly ExecOutcome[]): boolean =>
    results.some(({ outcome }) => outcomes.includes(outcome));
  if (has("cancelled")) return 130;
  if (has("unreachable", "lost")) return 4;
  return has("failed", "timedOut") ? 2 : 0;
}
