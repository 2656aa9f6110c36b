import { isVolleyError } from "../../core/errors.ts";
import type { RemoteExit } from "../../transport/transport.ts";
import type { HostRecord } from "./host-record.ts";

/** How a line to a host came to be cut. */
export interface CutLine {
  readonly record: HostRecord;
  /** Whether there has been a connection. */
  readonly reached: boolean;
  /** Whether the host is away already. */
  readonly away: boolean;
  /** Whether the process has said hello. */
  readonly greeted: boolean;
  /** Whether the host may be asked to begin. */
  readonly mayLaunch: boolean;
}

/** Whether a process that ended without saying bye has left a run behind that goes on, or can. */
export function mayGoOn(exit: RemoteExit, { record, greeted, mayLaunch }: CutLine): boolean {
  const { bye, gone, restart } = record;
  if (bye !== undefined) return false;
  // As long as a host is going down, the process that carried out the run is merely gone.
  if (gone !== undefined)
    return gone.running === true || (gone.asked === true && (!gone.restarted || mayLaunch));
  // Whatever ended it, the journal says how far it came; one that said nothing at all has said so elsewhere.
  return exit.kind === "lost" || restart !== undefined || greeted;
}

/** Whether what went wrong may be over when the host is tried again. */
export function mayTryAgain(thrown: unknown, { record, reached, away }: CutLine): boolean {
  if (!isVolleyError(thrown) || !reached) return false;
  switch (thrown.code) {
    case "CONNECTION_LOST":
      return true;
    case "CONNECT_FAILED":
    case "TIMEOUT":
      return away;
    case "AUTH_FAILED":
      // Before a host is wholly up it lets nobody in but root: pam_nologin(8).
      return away && record.restart !== undefined;
    default:
      return false;
  }
}
