import { VolleyError } from "../../core/errors.ts";
import type { HostKeyPolicy } from "../ssh-settings.ts";
import type { Endpoint } from "../transport.ts";

import { fingerprintOf, hostName, type KnownHosts, keyType } from "./known-hosts.ts";

/** Checks the key a host presents; undefined when it may be trusted, else why not. */
export function verifyHostKey(
  endpoint: Endpoint,
  key: Buffer,
  { knownHosts, hostKeyPolicy }: { readonly knownHosts: KnownHosts; readonly hostKeyPolicy: HostKeyPolicy },
): VolleyError | undefined {
  if (hostKeyPolicy === "off") return undefined;
  const { host } = endpoint;
  const { address, port } = knownAs(endpoint);
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
    case "certified":
      return new VolleyError(
        "HOST_KEY_UNKNOWN",
        `${host}: only a certificate can vouch for it (${verdict.file}:${verdict.line}), and ssh2 checks none`,
        { hint: "reach it with --transport openssh, or learn its key with volley hosts trust" },
      );
    case "unknown":
      if (hostKeyPolicy === "accept-new") {
        try {
          knownHosts.add(address, port, key, endpoint.ssh?.hashKnownHosts);
          return undefined;
        } catch (thrown) {
          return thrown as VolleyError;
        }
      }
      return new VolleyError("HOST_KEY_UNKNOWN", `${host}: its key ${shown} is not in known_hosts`, {
        hint: "learn it with volley hosts trust, which shows the fingerprint to compare, or use --host-keys accept-new",
      });
  }
}

/** How a host is looked up in known_hosts; an alias stands for itself, whatever the port (ssh_config(5), HostKeyAlias). */
export function knownAs({ address, port, ssh }: Endpoint): {
  readonly address: string;
  readonly port: number;
} {
  return ssh?.hostKeyAlias === undefined ? { address, port } : { address: ssh.hostKeyAlias, port: 22 };
}
