import { VolleyError } from "../../core/errors.ts";

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
