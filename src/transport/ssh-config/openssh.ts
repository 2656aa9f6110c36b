import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Endpoint, SshSettings } from "../transport.ts";
import { defaultKeyFiles, listOf } from "./interpret.ts";
import { rowOf, spelled } from "./option-table.ts";
import type { SshOptions } from "./options.ts";
import type { HostWish, RunSettings } from "./resolve.ts";

/** Looks at files once each: every host of a fleet asks for the same ones. */
export interface KeyFiles {
  exists(path: string): boolean;
  /** Whether a certificate lies next to a private key. */
  hasCertificate(path: string): boolean;
  /** Whether a private key is one of a security key (FIDO). */
  isSecurityKey(path: string): boolean;
}

/** Makes a {@link KeyFiles}. */
export function createKeyFiles(): KeyFiles {
  const known = new Map<string, boolean>();
  const memo = (question: string, path: string, answer: () => boolean): boolean => {
    const key = `${question}:${path}`;
    let value = known.get(key);
    if (value === undefined) {
      value = answer();
      known.set(key, value);
    }
    return value;
  };
  const exists = (path: string): boolean => memo("exists", path, () => existsSync(path));
  return {
    exists,
    hasCertificate: (path) => exists(path) && exists(`${path}-cert.pub`),
    isSecurityKey: (path) => {
      const publicKey = `${path}.pub`;
      return memo("security", path, () => exists(publicKey) && /^sk-/.test(readFileSync(publicKey, "utf8")));
    },
  };
}

const DEFAULT_SECURITY_KEYS = ["id_ed25519_sk", "id_ecdsa_sk"];

/** What ssh2 has of the algorithms that OpenSSH knows. */
const SSH2_ALGORITHMS = {
  ciphers: `aes128-gcm@openssh.com aes256-gcm@openssh.com aes128-ctr aes192-ctr aes256-ctr
    chacha20-poly1305@openssh.com aes256-cbc aes192-cbc aes128-cbc 3des-cbc`.split(/\s+/),
  macs: `hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com hmac-sha2-256
    hmac-sha2-512 hmac-sha1 hmac-md5 hmac-sha1-96 hmac-md5-96`.split(/\s+/),
  kexalgorithms: `curve25519-sha256 curve25519-sha256@libssh.org ecdh-sha2-nistp256 ecdh-sha2-nistp384
    ecdh-sha2-nistp521 diffie-hellman-group-exchange-sha256 diffie-hellman-group14-sha256
    diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group-exchange-sha1
    diffie-hellman-group14-sha1 diffie-hellman-group1-sha1`.split(/\s+/),
  hostkeyalgorithms: `ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512
    rsa-sha2-256 ssh-rsa ssh-dss`.split(/\s+/),
} as const;

/** The algorithms that a list leaves ssh2 with; undefined where it is not set. */
export function ssh2Algorithms(
  options: SshOptions,
  name: keyof typeof SSH2_ALGORITHMS,
): readonly string[] | undefined {
  return listOf(options, name)?.filter((each) => SSH2_ALGORITHMS[name].includes(each));
}

/** Why a host is left to OpenSSH's own `ssh`. */
interface OpenSshNeeds {
  /** What is asked for that only it can do, for a person; undefined: nothing. */
  readonly reason: string | undefined;
  /** The same, of what a host must not be reached without. */
  readonly vital: string | undefined;
}

/** What a host's keys are, for {@link openSshNeeds}. */
interface KeysInUse {
  readonly keys: readonly string[];
  readonly isNamed: boolean;
  readonly agent: string | undefined;
  readonly files: KeyFiles;
}

/** What is asked for that only OpenSSH's own `ssh` can do. */
export function openSshNeeds(options: SshOptions, inUse: KeysInUse): OpenSshNeeds {
  const vital = optionReason(options, true) ?? algorithmReason(options);
  return { vital, reason: vital ?? optionReason(options, false) ?? keyReason(options, inUse) };
}

function optionReason(options: SshOptions, must: boolean): string | undefined {
  for (const name of options.names) {
    const row = rowOf(name);
    if (row === undefined) {
      if (must) return `${name} is set`;
      continue;
    }
    if (row.by !== "openssh" || (row.must ?? false) !== must) continue;
    if (row.when !== undefined && !row.when(options.all(name))) continue;
    // Debian sets it for everybody: only with a ticket is it meant.
    if (/^gssapi/.test(name)) {
      if (hasTicket()) return `${spelled(name)} is set, and there is a Kerberos ticket`;
    } else return `${spelled(name)} is set`;
  }
  return undefined;
}

function algorithmReason(options: SshOptions): string | undefined {
  for (const name of Object.keys(SSH2_ALGORITHMS) as (keyof typeof SSH2_ALGORITHMS)[])
    if (ssh2Algorithms(options, name)?.length === 0)
      return `${spelled(name)} leaves nothing that ssh2 can do`;
  // ssh2 chooses by itself which of the two an RSA key signs with.
  const accepted = listOf(options, "pubkeyacceptedalgorithms") ?? [];
  const rsa = ["rsa-sha2-256", "rsa-sha2-512"].filter((each) => accepted.includes(each));
  return rsa.length === 1 || (rsa.length === 0 && accepted.includes("ssh-rsa"))
    ? "PubkeyAcceptedAlgorithms chooses how RSA keys sign"
    : undefined;
}

function keyReason(options: SshOptions, { keys, isNamed, agent, files }: KeysInUse): string | undefined {
  if (options.first("pubkeyauthentication") === "false") return undefined;
  const certified = keys.find(files.hasCertificate);
  if (certified !== undefined) return `${certified} has a certificate`;
  const security = keys.find(files.isSecurityKey);
  if (security !== undefined) return `${security} is the key of a security device`;
  if (!isNamed && agent === undefined && !defaultKeyFiles().some(files.exists)) {
    const found = DEFAULT_SECURITY_KEYS.map((name) => join(homedir(), ".ssh", name)).find(files.exists);
    if (found !== undefined) return `${found} is the key of a security device`;
  }
  return undefined;
}

/** Where MIT Kerberos keeps tickets by default (kerberos(7)). */
function hasTicket(): boolean {
  const named = process.env.KRB5CCNAME?.replace(/^FILE:/, "");
  if (named !== undefined && named !== "") return !named.startsWith("/") || existsSync(named);
  return existsSync(`/tmp/krb5cc_${process.getuid?.() ?? 0}`);
}

/**
 * For `ssh`, which reads its configuration by itself: only what is said elsewhere, the first given winning there too,
 * and the way there, which `ssh` would follow with none of the options given for the host.
 */
export function openSshArguments(
  { port, user, privateKeyFile, words }: HostWish,
  settings: Omit<SshSettings, "openSsh">,
  run: RunSettings,
  onTheWay: boolean,
): readonly string[] {
  const option = (name: string, value: string): readonly string[] => ["-o", `${name}=${value}`];
  const quoted = (files: readonly string[]): string => files.map(quotePath).join(" ");
  const { hostKeyPolicy, jumps, keepAliveMs, keepAliveCountMax, connectTimeoutMs } = settings;
  // What ssh_config says `ssh` follows by itself: without host keys it keeps passwords back.
  const off = hostKeyPolicy === "off" && !settings.passwordsNeedKnownKeys;
  const direct = jumps.length === 0;
  return [
    ...(run.configFile === undefined ? [] : ["-F", run.configFile]),
    ...(direct ? [] : option("ProxyCommand", proxyCommand(jumps))),
    // A ProxyJump for everybody holds for the host on the way, too, which ssh calls a loop.
    ...(direct && onTheWay && !settings.usesProxyCommand ? option("ProxyJump", "none") : []),
    ...option(
      "StrictHostKeyChecking",
      { strict: "yes", ask: "yes", "accept-new": "accept-new", off: "no" }[hostKeyPolicy],
    ),
    ...(off ? option("UserKnownHostsFile", "/dev/null") : []),
    ...(off || run.knownHostsFiles !== undefined ? option("GlobalKnownHostsFile", "/dev/null") : []),
    ...(!off && run.knownHostsFiles !== undefined
      ? option("UserKnownHostsFile", quoted(run.knownHostsFiles))
      : []),
    ...option("ConnectTimeout", String(Math.max(1, Math.round(connectTimeoutMs / 1_000)))),
    ...option("ServerAliveInterval", String(Math.round(keepAliveMs / 1_000))),
    ...option("ServerAliveCountMax", String(keepAliveCountMax)),
    ...(run.forwardAgent === undefined ? [] : option("ForwardAgent", run.forwardAgent ? "yes" : "no")),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(user === undefined ? [] : ["-l", user]),
    ...(privateKeyFile === undefined ? [] : ["-i", privateKeyFile, ...option("IdentitiesOnly", "yes")]),
    ...(direct ? words : withoutJumps(words)),
  ];
}

/** A path as a value of an option, whatever is in it; ssh fills in tokens and variables. */
export function quotePath(path: string): string {
  return `"${path.replaceAll(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

/** ssh looks for loops in a ProxyJump even where a ProxyCommand has won. */
function withoutJumps(words: readonly string[]): readonly string[] {
  return words.filter((word, index) => {
    const option = word === "-o" ? (words[index + 1] ?? "") : words[index - 1] === "-o" ? word : "";
    return !/^proxyjump[=\s]/i.test(option);
  });
}

/**
 * A ProxyCommand that goes through these hosts, the nearest first. `ssh -J` would do, but gives the hosts on the way
 * none of the options it was called with, such as where known keys are.
 */
function proxyCommand(jumps: readonly Endpoint[]): string {
  const last = jumps.at(-1)!;
  const { destination, arguments: given } = last.ssh!.openSsh;
  // ssh fills in tokens, once for each command that holds another: what is not meant for this one is doubled.
  const words = ["ssh", "-o", "BatchMode=yes", ...given, "-W", "TARGET", "--", destination].map((word) =>
    word === "TARGET" ? "'[%h]:%p'" : shellQuote(word.replaceAll("%", "%%")),
  );
  return words.join(" ");
}

function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
