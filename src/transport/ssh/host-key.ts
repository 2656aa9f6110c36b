import { VolleyError } from "../../core/errors.ts";
import type { Endpoint, SshSettings } from "../transport.ts";
import { fingerprintOf, hostName, type KnownHosts, keyType, rsaBits } from "./known-hosts.ts";

/** Check a host's key; return undefined when it is trusted, else the error. Calls `unsafe` when a changed key is accepted all the same. */
export function verifyHostKey(
  endpoint: Endpoint,
  key: Buffer,
  { knownHosts, settings, unsafe }: HostKeyCheck,
): VolleyError | undefined {
  const { hostKeyPolicy, requiredRsaBits, passwordsNeedKnownKeys, forwardAgent } = settings;
  const { host } = endpoint;
  const bits = rsaBits(key) ?? requiredRsaBits;
  if (bits < requiredRsaBits) {
    return new VolleyError(
      "CONNECT_FAILED",
      `${host}: its RSA key has ${bits} bits, and ${requiredRsaBits} are required (RequiredRSASize)`,
    );
  }
  if (hostKeyPolicy === "off" && !passwordsNeedKnownKeys) return undefined;
  const { address, port } = knownAs(endpoint);
  const name = hostName(address, port);
  const shown = `${keyType(key)} ${fingerprintOf(key)}`;
  const verdict = knownHosts.check(address, port, key);
  const changed = verdict.kind === "changed" || verdict.kind === "revoked";
  if (hostKeyPolicy === "off" && !(changed && forwardAgent)) {
    if (changed) unsafe();
    return undefined;
  }
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
        { hint: "reach it with --transport openssh" },
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
      return new VolleyError(
        "HOST_KEY_UNKNOWN",
        `${host}: its key ${shown} is not in known_hosts${unreadable(knownHosts)}`,
        {
          hint: "learn it with volley hosts trust, which shows the fingerprint to compare, or use --host-keys accept-new",
        },
      );
  }
}

/** The inputs of {@link verifyHostKey}. */
export interface HostKeyCheck {
  readonly knownHosts: KnownHosts;
  readonly settings: Pick<
    SshSettings,
    "hostKeyPolicy" | "requiredRsaBits" | "passwordsNeedKnownKeys" | "forwardAgent"
  >;
  readonly unsafe: () => void;
}

function unreadable(knownHosts: KnownHosts): string {
  const problems = knownHosts.unreadable();
  return problems.length === 0 ? "" : ` (${problems.join("; ")})`;
}

/** Return the address and port to look up in known_hosts; an alias counts without the port (ssh_config(5), HostKeyAlias). */
export function knownAs({ address, port, ssh }: Endpoint): {
  readonly address: string;
  readonly port: number;
} {
  return ssh?.hostKeyAlias === undefined ? { address, port } : { address: ssh.hostKeyAlias, port: 22 };
}

/** Algorithms that ssh2 can verify and ssh offers by default, the best first: no signatures with SHA-1. */
const USUAL: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** The types of a host's keys in known_hosts. */
export interface ListedTypes {
  /** Under the host's own name. */
  readonly exact: readonly string[];
  /** Under the name without the port, where the own name lists none. */
  readonly withoutPort: readonly string[];
}

/**
 * Return the host key algorithms to negotiate, the best first: those of HostKeyAlgorithms (`configured`), by default the
 * safe ones. Where keys of the host are listed, only the algorithms of their types: with another type of key the host would
 * seem to have changed.
 */
export function hostKeyAlgorithms(
  { exact, withoutPort }: ListedTypes,
  configured: readonly string[] | undefined,
): readonly string[] {
  const wanted = configured ?? USUAL;
  const listed = wanted.filter((name) => exact.includes(typeOf(name)));
  if (listed.length > 0) return listed;
  const first = wanted.filter((name) => withoutPort.includes(typeOf(name)));
  return [...new Set([...first, ...wanted])];
}

/** Return the key type of an algorithm; RSA keys sign by several (RFC 8332). */
function typeOf(algorithm: string): string {
  return algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm;
}
