import { VolleyError } from "../../core/errors.ts";
import { retryable, timedOut, tooManyFailures, whereOf } from "../connect-errors.ts";
import type { Endpoint } from "../transport.ts";

/** Turn the last messages of `ssh` into an error with a code. The messages are those of its sources, in the C locale. */
export function explainSsh(stderr: string, endpoint: Endpoint, timeoutMs: number): VolleyError {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^Warning: Permanently added/.test(line));
  const said = lines.at(-1) ?? "it closed the connection";
  const { host, user } = endpoint;
  const error = (code: VolleyError["code"], message: string, hint?: string): VolleyError =>
    new VolleyError(code, message, hint === undefined ? {} : { hint });
  const anyLine = (pattern: RegExp): string | undefined => lines.find((line) => pattern.test(line));
  if (anyLine(/REVOKED HOST KEY|host key .*revoked/i)) {
    return error("HOST_KEY_CHANGED", `${host}: its key is revoked`);
  }
  if (anyLine(/REMOTE HOST IDENTIFICATION HAS CHANGED/)) {
    const offending = anyLine(/^Offending .* key in /)?.replace(/^Offending .* key in /, "");
    return error(
      "HOST_KEY_CHANGED",
      `${host}: the host key has changed, which may mean that someone is in between${offending === undefined ? "" : `: it is not the one at ${offending}`}`,
      "if the host was reinstalled, remove the old key with ssh-keygen -R",
    );
  }
  if (anyLine(/Host key verification failed|host key is known for/)) {
    return error(
      "HOST_KEY_UNKNOWN",
      `${host}: its key is not in known_hosts`,
      "learn it with volley hosts trust, or use --host-keys accept-new",
    );
  }
  if (anyLine(/Too many authentication failures/)) return tooManyFailures(host, user);
  const denied = anyLine(/Permission denied \(/);
  if (denied !== undefined) {
    return error(
      "AUTH_FAILED",
      `${host} let user ${user} not in: ${denied.replace(/^\S+@\S+: /, "")}`,
      "ssh asks for no passphrases here: load encrypted keys with ssh-add",
    );
  }
  if (anyLine(/[Bb]ad configuration option|Bad owner or permissions|command-line( line|:)/)) {
    return error("USAGE", `${host}: ssh does not understand its options: ${said}`);
  }
  if (anyLine(/timed out|Timeout, server/)) return timedOut(endpoint, timeoutMs);
  const where = whereOf(endpoint);
  if (anyLine(/Could not resolve hostname/))
    return error("CONNECT_FAILED", `${host}: ${said.replace(/^ssh: /, "")}`);
  if (anyLine(/Connection refused/)) {
    return retryable(error("CONNECT_FAILED", `${where} refused the connection: ${said}`), "quick");
  }
  if (anyLine(/kex_exchange_identification|banner exchange|Connection (closed|reset) by/)) {
    return retryable(
      error("CONNECT_FAILED", `${where} closed the connection before login was complete: ${said}`),
      // The cause is unknown where a ProxyCommand ended.
      anyLine(/UNKNOWN port/) ? "quick" : "patient",
    );
  }
  const failed = error("CONNECT_FAILED", `${where}: ${said}`);
  return lines.length === 0 ? retryable(failed, "quick") : failed;
}
