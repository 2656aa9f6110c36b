import { constants } from "node:os";
import { describeSignal, type HostResult } from "../../fanout/exec/exec-host.ts";
import type { Style } from "../../reporter/rows/row.ts";
import { safeError } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

const FAILED: Style = { color: "red" };
/** How what went well looks. */
export const OK: Style = { color: "green" };
const WAITING: Style = { color: "yellow" };
const MAX_REASON = 200;

/** How a command went on a host in a few words: `exit 2`, `killed by TERM`, `timed out`. */
export function describeEnd({ outcome, exit, error }: HostResult): string {
  switch (outcome) {
    case "ok":
      return "ok";
    case "failed":
      if (exit === undefined) return "not begun";
      return exit?.kind === "signalled"
        ? describeSignal(exit.signal)
        : exitText(exit?.kind === "exited" ? exit.code : undefined);
    case "timedOut":
      return "timed out";
    case "unreachable":
      return error?.code === "AUTH_FAILED" ? "login failed" : "unreachable";
    case "lost":
      return "connection lost";
    case "cancelled":
      return exit === undefined ? "not started" : "cancelled";
  }
}

/** Why a host did not get to run the command, without its name; empty when there is nothing to say. */
export function reasonOf({ host, error, exit }: HostResult): string {
  const said = error?.message ?? (exit?.kind === "lost" ? exit.reason : "");
  // `web1: …`, or `web1 (10.0.0.1:22) …`: what stands beside a name need not say it, and folds when it does not.
  const own = /^(?:: | \([^()]*\) | )/.exec(said.startsWith(host) ? said.slice(host.length) : "");
  const reason = own === null ? said : said.slice(host.length + own[0].length);
  const shown = safeError(reason.replaceAll("\n", " "));
  return shown.length > MAX_REASON ? `${shown.slice(0, MAX_REASON)}…` : shown;
}

/** How a state looks. */
export function styleOf({ outcome }: Pick<HostResult, "outcome">): Style {
  return outcome === "ok" ? OK : outcome === "cancelled" ? WAITING : FAILED;
}

/** The sign of a state. */
export function symbolOf({ outcome }: Pick<HostResult, "outcome">, symbols: Symbols): string {
  return outcome === "ok" ? symbols.ok : outcome === "cancelled" ? symbols.cancelled : symbols.failed;
}

/** Shells give 128 and the number of a signal for a command that it ended. */
function exitText(code = -1): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return signal === undefined ? `exit ${code}` : `exit ${code} (${signal.slice(3)})`;
}

/** What is worst first. */
export const OUTCOME_ORDER = ["failed", "timedOut", "unreachable", "lost", "cancelled", "ok"] as const;
