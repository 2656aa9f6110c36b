import { VolleyError } from "../core/errors.ts";

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
