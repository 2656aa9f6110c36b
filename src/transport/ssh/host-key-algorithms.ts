import { matchesPattern } from "../ssh-config/pattern.ts";

/** What ssh2 can verify, the best first. */
const SUPPORTED = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
  "ssh-rsa",
] as const;

/**
 * The host key algorithms to ask a host for: only those of keys that are known, because a host that has another as well
 * would look changed; else what HostKeyAlgorithms says (ssh_config(5), with its `+`, `-` and `^`). Undefined: ssh2's own.
 */
export function hostKeyAlgorithms(
  knownTypes: readonly string[],
  configured: string | undefined,
): readonly string[] | undefined {
  const wanted = configured === undefined ? SUPPORTED : applyList(configured);
  const known = SUPPORTED.filter((name) => knownTypes.includes(typeOf(name)));
  const both = wanted.filter((name) => known.some((other) => other === name));
  if (both.length > 0) return both;
  if (known.length > 0) return known;
  return configured === undefined || wanted.length === 0 ? undefined : wanted;
}

/** RSA keys sign in several ways (RFC 8332). */
function typeOf(algorithm: string): string {
  return algorithm.startsWith("rsa-sha2-") ? "ssh-rsa" : algorithm;
}

function applyList(text: string): readonly string[] {
  const patterns = text.replace(/^[+^-]/, "").split(",");
  const named = patterns.flatMap((pattern) => SUPPORTED.filter((name) => matchesPattern(pattern, name)));
  const others = SUPPORTED.filter((name) => !named.includes(name));
  switch (text[0]) {
    case "-":
      return others;
    case "^":
      return [...named, ...others];
    case "+":
      return SUPPORTED;
    default:
      return named;
  }
}
