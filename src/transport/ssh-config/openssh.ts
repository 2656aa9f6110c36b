import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { quote } from "../../core/unix/shell.ts";
import type { Endpoint, SshSettings } from "../transport.ts";
import { rowOf, spelled } from "./option-table.ts";
import { defaultKeyFiles, listOf, type SshOptions } from "./options.ts";

/** Facts about key files, each read once: all hosts of a fleet ask for the same files. */
export interface KeyFiles {
  exists(path: string): boolean;
  /** Return whether a certificate lies beside a private key. */
  hasCertificate(path: string): boolean;
  /** Return whether a private key belongs to a security key (FIDO). */
  isSecurityKey(path: string): boolean;
}

/** Make a {@link KeyFiles}. */
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

/** The algorithms of OpenSSH that ssh2 has. */
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

/** Return the algorithms of an option that ssh2 has; undefined where the option is not set. */
export function ssh2Algorithms(
  options: SshOptions,
  name: keyof typeof SSH2_ALGORITHMS,
): readonly string[] | undefined {
  return listOf(options, name)?.filter((each) => SSH2_ALGORITHMS[name].includes(each));
}

/** The reasons to leave a host to OpenSSH's `ssh`. */
interface OpenSshNeeds {
  /** The reason why only `ssh` can reach the host; undefined: none. */
  readonly reason: string | undefined;
  /** A reason why ssh2 must not even try; undefined: none. */
  readonly vital: string | undefined;
}

/** A host's keys, for {@link openSshNeeds}. */
interface KeysInUse {
  readonly keys: readonly string[];
  readonly isNamed: boolean;
  readonly agent: string | undefined;
  readonly files: KeyFiles;
}

/** Return the reasons to leave a host to OpenSSH's `ssh`. */
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
    // Debian sets GSSAPI options for all users; they matter only with a ticket.
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
  // ssh2 itself chooses between the two signature algorithms of RSA keys.
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

/** Return whether there is a Kerberos ticket in the default place of MIT Kerberos (kerberos(7)). */
function hasTicket(): boolean {
  const named = process.env.KRB5CCNAME?.replace(/^FILE:/, "");
  if (named !== undefined && named !== "") return !named.startsWith("/") || existsSync(named);
  return existsSync(`/tmp/krb5cc_${process.getuid?.() ?? 0}`);
}

/** Settings of one host that `ssh` does not find in its configuration. */
export interface HostPart {
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly privateKeyFile: string | undefined;
  /** Arguments of `ssh`, from `ansible_ssh_common_args` and the like. */
  readonly words: readonly string[];
}

/** Settings of the whole run that `ssh` does not find in its configuration. */
export interface RunPart {
  /** The file to read in place of the usual ones. */
  readonly configFile: string | undefined;
  readonly knownHostsFiles: readonly string[] | undefined;
  readonly forwardAgent: boolean | undefined;
}

/**
 * Return the arguments for `ssh`, which reads its configuration itself: the settings from elsewhere, the first of which
 * wins, and the jump hosts, to which `ssh` would not apply the options given for the host.
 */
export function openSshArguments(
  { port, user, privateKeyFile, words }: HostPart,
  settings: Omit<SshSettings, "openSsh">,
  run: RunPart,
  isJump: boolean,
): readonly string[] {
  const option = (name: string, value: string): readonly string[] => ["-o", `${name}=${value}`];
  const quoted = (files: readonly string[]): string => files.map(quotePath).join(" ");
  const { hostKeyPolicy, jumps, keepAliveMs, keepAliveCountMax, connectTimeoutMs } = settings;
  // Where ssh_config sets the policy `off`, `ssh` follows it itself, and withholds passwords.
  const off = hostKeyPolicy === "off" && !settings.passwordsNeedKnownKeys;
  const direct = jumps.length === 0;
  return [
    ...(run.configFile === undefined ? [] : ["-F", run.configFile]),
    ...(direct ? [] : option("ProxyCommand", proxyCommand(jumps))),
    // A ProxyJump for all hosts holds for the jump host, too, which ssh would call a loop.
    ...(direct && isJump && !settings.usesProxyCommand ? option("ProxyJump", "none") : []),
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

/** Quote a path as an option's value; ssh expands tokens and variables. */
export function quotePath(path: string): string {
  return `"${path.replaceAll(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

/** Drop ProxyJump options: ssh looks for loops in them even where a ProxyCommand has won. */
function withoutJumps(words: readonly string[]): readonly string[] {
  return words.filter((word, index) => {
    const option = word === "-o" ? (words[index + 1] ?? "") : words[index - 1] === "-o" ? word : "";
    return !/^proxyjump[=\s]/i.test(option);
  });
}

/**
 * Return a ProxyCommand through these jump hosts, the nearest first. `ssh -J` would not pass on the options of its call,
 * such as the known_hosts file.
 */
function proxyCommand(jumps: readonly Endpoint[]): string {
  const last = jumps.at(-1)!;
  const { destination, arguments: given } = last.ssh!.openSsh;
  // ssh expands tokens once for each nested command, so a percent sign for an inner command is doubled.
  const words = ["ssh", "-o", "BatchMode=yes", ...given, "-W", "TARGET", "--", destination].map((word) =>
    word === "TARGET" ? "'[%h]:%p'" : quote(word.replaceAll("%", "%%")),
  );
  return words.join(" ");
}
