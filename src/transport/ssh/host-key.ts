import { VolleyError } from "../../core/errors.ts";
import type { Endpoint } from "../transport.ts";
import { fingerprintOf, hostName, type KnownHosts, keyType } from "./known-hosts.ts";

/** What to do with a host whose key is not known: refuse it, add it, or ask nothing at all. */
export type HostKeyPolicy = "strict" | "accept-new" | "off";

/** The policies, the safest first. */
export const HOST_KEY_POLICIES = ["strict", "accept-new", "off"] as const satisfies readonly HostKeyPolicy[];

/** Checks the key a host presents; undefined when it may be trusted, else why not. */
export function verifyHostKey(
  { host, address, port }: Endpoint,
  key: Buffer,
  { knownHosts, hostKeyPolicy }: { readonly knownHosts: KnownHosts; readonly hostKeyPolicy: HostKeyPolicy },
): VolleyError | undefined {
  if (hostKeyPolicy === "off") return undefined;
  const name = hostName(address, port);
  const shown = `${keyType(key)} ${fingerprintOf(key)}`;
  const verdict = knownHosts.check(address, port, key);
  switch (verdict.kind) {
    case "known":
      return undefined;
    case "revoked":
      return new VolleyError(
        "HOST_KEY_CHANGED",
        `${host}: its key ${shown} is revoked (${verdict.file}:${verdict.line})`,
      );
    case "changed":
      return new VolleyError(
        "HOST_KEY_CHANGED",
        `${host}: the host key has changed, which may mean that someone is in between: it is ${shown}, not the one at ${verdict.file}:${verdict.line}`,
        {
          hint: `if the host was reinstalled, remove the old key: ssh-keygen -R '${name}' -f ${verdict.file}`,
        },
      );
    case "unknown":
      if (hostKeyPolicy === "accept-new") {
        try {
          knownHosts.add(address, port, key);
          return undefined;
        } catch (thrown) {
          return thrown as VolleyError;
        }
      }
      return new VolleyError("HOST_KEY_UNKNOWN", `${host}: its key ${shown} is not in known_hosts`, {
        hint: `compare the fingerprint, then connect once with ssh -p ${port} ${address}, or use --host-keys accept-new`,
      });
  }
}
