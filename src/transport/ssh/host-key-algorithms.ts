/** What ssh2 can verify and ssh offers by itself, the best first: no signatures with SHA-1. */
const USUAL: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** The types of a host's keys that known_hosts lists. */
export interface ListedTypes {
  /** Under its own name. */
  readonly exact: readonly string[];
  /** Under its name without the port, where there are none under its own. */
  readonly withoutPort: readonly string[];
}

/**
 * The host key algorithms to ask a host for, the best first: those that HostKeyAlgorithms leaves (`configured`), by default
 * those that are safe. Of them only those of keys that are listed, because a host that has another as well would look
 * changed; where none of them is, all.
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

/** RSA keys sign in several ways (RFC 8332). */
function typeOf(algorithm: string): string {
  return algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm;
}
