import { matchesPatternList } from "./pattern.ts";

/** Kinds of algorithms that ssh_config has lists of. */
export type AlgorithmKind = "ciphers" | "macs" | "kex" | "keys" | "signatures";

/** What there is of a kind of algorithm. */
export interface AlgorithmNames {
  /** What `ssh` takes without being told, the best first. */
  readonly defaults: readonly string[];
  /** What it knows at all, in the order of its own lists. */
  readonly all: readonly string[];
}

const ECDSA = ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];
const SECURITY = ["sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
const RSA = ["rsa-sha2-512", "rsa-sha2-256"];
const PLAIN = ["ssh-ed25519", ...ECDSA, ...SECURITY, ...RSA];

function certificateOf(name: string): string {
  return `${name.replace(/@openssh\.com$/, "")}-cert-v01@openssh.com`;
}

const ALL_KEYS = [
  ...["ssh-ed25519", SECURITY[0]!, ...ECDSA, SECURITY[1]!].flatMap((name) => [name, certificateOf(name)]),
  "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
  ...["ssh-dss", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"].flatMap((name) => [name, certificateOf(name)]),
];

/** OpenSSH 9.2's names: newer releases add some, and take few away. */
export const ALGORITHMS: Readonly<Record<AlgorithmKind, AlgorithmNames>> = {
  ciphers: {
    defaults: `chacha20-poly1305@openssh.com aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com
      aes256-gcm@openssh.com`.split(/\s+/),
    all: `3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr aes128-gcm@openssh.com
      aes256-gcm@openssh.com chacha20-poly1305@openssh.com`.split(/\s+/),
  },
  macs: {
    defaults: `umac-64-etm@openssh.com umac-128-etm@openssh.com hmac-sha2-256-etm@openssh.com
      hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com umac-64@openssh.com umac-128@openssh.com hmac-sha2-256
      hmac-sha2-512 hmac-sha1`.split(/\s+/),
    all: `hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96 umac-64@openssh.com
      umac-128@openssh.com hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com hmac-sha2-256-etm@openssh.com
      hmac-sha2-512-etm@openssh.com hmac-md5-etm@openssh.com hmac-md5-96-etm@openssh.com umac-64-etm@openssh.com
      umac-128-etm@openssh.com`.split(/\s+/),
  },
  kex: {
    defaults: `sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com curve25519-sha256
      curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
      diffie-hellman-group-exchange-sha256 diffie-hellman-group16-sha512 diffie-hellman-group18-sha512
      diffie-hellman-group14-sha256`.split(/\s+/),
    all: `diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256
      diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1
      diffie-hellman-group-exchange-sha256 ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
      curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512
      sntrup761x25519-sha512@openssh.com`.split(/\s+/),
  },
  keys: { defaults: [...PLAIN.map(certificateOf), ...PLAIN], all: ALL_KEYS },
  signatures: { defaults: PLAIN, all: ALL_KEYS.filter((name) => !name.includes("-cert-")) },
};

/** Options that hold such lists. */
export const ALGORITHM_OPTIONS = {
  casignaturealgorithms: "signatures",
  ciphers: "ciphers",
  hostbasedacceptedalgorithms: "keys",
  hostkeyalgorithms: "keys",
  kexalgorithms: "kex",
  macs: "macs",
  pubkeyacceptedalgorithms: "keys",
} as const satisfies Readonly<Record<string, AlgorithmKind>>;

/** Newer names, which ssh2 has none of: no reason to refuse a file. */
const NEWER = /^(mlkem|sntrup|ssh-mldsa|webauthn-)/;

/** Whether a list is one that `ssh` takes: known names, or for keys patterns of them. */
export function isAlgorithmList(kind: AlgorithmKind, list: string): boolean {
  if (list.startsWith("-")) return true;
  const names = list.replace(/^[+^]/, "").split(",");
  const all = kind === "signatures" ? ALL_KEYS : ALGORITHMS[kind].all;
  const mayGlob = kind === "keys" || kind === "signatures";
  return names.every((name) => {
    if (name === "" || name.startsWith("!")) return false;
    if (all.includes(name) || NEWER.test(name)) return true;
    return mayGlob && all.some((other) => matchesPatternList(name, other));
  });
}

/** The algorithms a list stands for, with its `+`, `-` or `^` and its patterns (ssh_config(5), Ciphers). */
export function algorithmsOf(list: string, { defaults, all }: AlgorithmNames): readonly string[] {
  const names = list.replace(/^[+^-]/, "");
  if (list.startsWith("-")) return defaults.filter((name) => !matchesPatternList(names, name));
  const wanted = names.split(",");
  const patterns = list.startsWith("+")
    ? [...defaults, ...wanted]
    : list.startsWith("^")
      ? [...wanted, ...defaults]
      : wanted;
  return [...new Set(patterns.flatMap((pattern) => all.filter((name) => matchesPatternList(pattern, name))))];
}
