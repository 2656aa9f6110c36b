import type { Become } from "../core/become.ts";
import { startAs as startAsAnother } from "../transport/become/start-as.ts";
import type { Connection, RemoteProcess } from "../transport/transport.ts";

/** Whose process it is, and what the messages say. */
export interface StartAsOptions {
  readonly host: string;
  /** Who is logged in. */
  readonly login: string;
  /** Null: the login user. */
  readonly become: Become | null;
  readonly signal: AbortSignal;
  /** Starts it on a terminal of this size. Default: without one. */
  readonly pty?: { readonly columns: number; readonly rows: number } | undefined;
}

/** Starts a script for `sh` in a user's home. Fails with `BECOME_FAILED`, `CONNECTION_LOST` or `CANCELLED`. */
export async function startAs(
  connection: Connection,
  script: string,
  { become, host, login, signal, pty }: StartAsOptions,
): Promise<RemoteProcess> {
  const start = (text: string): Promise<RemoteProcess> =>
    connection.exec(text, signal, pty === undefined ? {} : { pty });
  if (become === null) return start(script);
  return startAsAnother(start, `cd "$HOME" 2>/dev/null || cd /; ${script}`, {
    ...{ host, login, become, signal, onTerminal: pty !== undefined },
    terminalHint: `it takes one that does not ask: permit nopass ${login}, or sudo`,
  });
}
