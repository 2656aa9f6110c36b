import type { Become } from "../core/become.ts";
import type { UserAccess } from "../direct/open-system.ts";
import { startAs } from "../transport/become/start-as.ts";
import { openFileSession, SFTP_SERVER_SCRIPT } from "../transport/sftp/open-file-session.ts";

import type { Connection, Endpoint, RemoteProcess } from "../transport/transport.ts";

/** How to act as the login user: by the connection's own commands and SFTP. */
export function loginAccess(connection: Connection, signal: AbortSignal): UserAccess {
  return {
    start: (script) => connection.exec(script, signal),
    files: () => connection.files(signal),
    forward: connection.forward,
  };
}

/** How to act as another user, by that user's leave: every shell and an sftp-server are started through sudo, doas or su. */
export function becomeAccess(
  outer: UserAccess,
  become: Become,
  { endpoint, signal }: { readonly endpoint: Endpoint; readonly signal: AbortSignal },
): UserAccess {
  const { host, user: login } = endpoint;
  const start = (script: string): Promise<RemoteProcess> =>
    startAs(outer.start, script, {
      ...{ host, login, become, signal },
      terminalHint: "use --via bundle, or add a nopass rule to doas.conf",
    });
  return {
    start,
    files: async () => await openFileSession(await start(SFTP_SERVER_SCRIPT), { host, signal }),
    forward: outer.forward,
    givesPassword: become.password !== undefined,
  };
}
