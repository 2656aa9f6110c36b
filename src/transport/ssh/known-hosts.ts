import { createHash, createHmac, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { dirname } from "node:path";
import { printable, VolleyError } from "../../core/errors.ts";
import { globPieces, matchesGlob } from "../../core/unix/shell.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { makeDirectories } from "../../system/directories.ts";
import type { Endpoint, SshSettings } from "../transport.ts";

// Host keys: checking one, the algorithms to ask for, and the files of known_hosts.

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

/** A line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
interface KnownHost {
  readonly file: string;
  readonly line: number;
  readonly marker: "@revoked" | "@cert-authority" | undefined;
  /** Plain names in lower case; a test for hashed names and patterns. */
  readonly names: readonly string[] | ((name: string) => boolean);
  readonly type: string;
  readonly key: Buffer;
}

/** The verdict of the files on a host's key. */
export type KeyVerdict =
  | { readonly kind: "known" }
  | { readonly kind: "unknown" }
  /** Unknown, but a certificate authority is listed for the host (sshd(8), @cert-authority). */
  | { readonly kind: "certified"; readonly file: string; readonly line: number }
  | { readonly kind: "changed"; readonly file: string; readonly line: number }
  | { readonly kind: "revoked"; readonly file: string; readonly line: number };

/** The known_hosts files of a run. */
export interface KnownHosts {
  /** Judge a host's key. For another port than 22, entries without a port count where none has the port. */
  check(address: string, port: number, key: Buffer): KeyVerdict;
  /** Return the key types listed for a host, in the order of the files: only these are worth negotiating. */
  keyTypes(address: string, port: number): readonly string[];
  /** Return the key types listed for the host without its port: worth negotiating first. */
  keyTypesWithoutPort(address: string, port: number): readonly string[];
  /** Return whether only a certificate can vouch for a host: it has a @cert-authority line and no key. */
  needsCertificate(address: string, port: number): boolean;
  /** Return the files that could not be read, with the reason; they count as empty, as for `ssh`. */
  unreadable(): readonly string[];
  /** Add a key to the file for new keys; `hashed` hides the name. Fails with `HOST_KEY_UNKNOWN`. */
  add(address: string, port: number, key: Buffer, hashed?: boolean): void;
}

const NEWLINE = 0x0a;
const USUAL_PORT = 22;

/** Open the known_hosts files that exist. New keys go to `newKeysFile`, by default the first file; null allows no new keys. */
export function openKnownHosts(
  files: readonly string[],
  newKeysFile: string | null = files[0] ?? null,
): KnownHosts {
  let entries: readonly KnownHost[] | undefined;
  let index: NameIndex | undefined;
  const problems: string[] = [];
  const load = (): readonly KnownHost[] => {
    entries ??= files.flatMap((file) => parseFile(file, problems));
    return entries;
  };
  const byName = new Map<string, readonly KnownHost[]>();
  const entriesOf = (address: string, port: number): readonly KnownHost[] => {
    const name = hostName(address, port);
    let found = byName.get(name);
    // Each hashed line costs an HMAC, so each name is looked up once.
    if (found === undefined) {
      index ??= indexNames(load());
      found = index(name);
      byName.set(name, found);
    }
    return found;
  };
  const keyTypesOf = (address: string, port: number): readonly string[] => [
    ...new Set(entriesOf(address, port).flatMap(({ marker, type }) => (marker === undefined ? [type] : []))),
  ];
  const keyTypesWithoutPort = (address: string, port: number): readonly string[] =>
    port === USUAL_PORT || keyTypesOf(address, port).length > 0 ? [] : keyTypesOf(address, USUAL_PORT);
  return {
    check: (address, port, key) => {
      const verdict = judge(entriesOf(address, port), key);
      if (port === USUAL_PORT || (verdict.kind !== "unknown" && verdict.kind !== "certified")) return verdict;
      const plain = judge(entriesOf(address, USUAL_PORT), key);
      // Another key under the plain name proves nothing: another sshd may listen there.
      return plain.kind === "changed" || plain.kind === "unknown" ? verdict : plain;
    },
    keyTypes: keyTypesOf,
    keyTypesWithoutPort,
    needsCertificate: (address, port) =>
      load().some(({ marker }) => marker === "@cert-authority") &&
      keyTypesOf(address, port).length === 0 &&
      keyTypesWithoutPort(address, port).length === 0 &&
      [port, USUAL_PORT].some((each) =>
        entriesOf(address, each).some(({ marker }) => marker === "@cert-authority"),
      ),
    unreadable: () => {
      load();
      return problems;
    },
    add: (address, port, key, hashed = false) => {
      const name = hostName(address, port);
      if (newKeysFile === null) throw noFile(name);
      // As for ssh: the line of such a name would match other hosts.
      if (/[@?*#|'"\\\s,]/.test(address))
        throw new VolleyError("HOST_KEY_UNKNOWN", `${printable(name, 300)} is no name to add a key for`);
      const line = `${hashed ? hashName(name) : name} ${keyType(key)} ${key.toString("base64")}\n`;
      let before: Buffer;
      try {
        makeDirectories(dirname(newKeysFile), 0o700);
        before = fs.existsSync(newKeysFile) ? fs.readFileSync(newKeysFile) : Buffer.alloc(0);
        const isMidLine = before.length > 0 && before.at(-1) !== NEWLINE;
        fs.appendFileSync(newKeysFile, `${isMidLine ? "\n" : ""}${line}`, { mode: 0o600 });
      } catch (thrown) {
        throw new VolleyError(
          "HOST_KEY_UNKNOWN",
          `cannot add the key of ${name} to ${newKeysFile}: ${(thrown as Error).message}`,
        );
      }
      byName.delete(name);
      const added = { file: newKeysFile, line: countLines(before) + 1, type: keyType(key), key };
      entries = [...load(), { ...added, marker: undefined, names: [name] }];
      index = undefined;
    },
  };
}

/** Returns the entries that match a name, in the order of the files. */
type NameIndex = (name: string) => readonly KnownHost[];

/** Index entries by their plain names: only hashed names and patterns are looked through for each host. */
function indexNames(entries: readonly KnownHost[]): NameIndex {
  const plain = new Map<string, number[]>();
  const others: { readonly place: number; readonly matches: (name: string) => boolean }[] = [];
  for (const [place, { names }] of entries.entries()) {
    if (typeof names === "function") {
      others.push({ place, matches: names });
      continue;
    }
    for (const name of new Set(names)) {
      const places = plain.get(name);
      if (places === undefined) plain.set(name, [place]);
      else places.push(place);
    }
  }
  return (name) => {
    const tested = others.filter(({ matches }) => matches(name)).map(({ place }) => place);
    return [...(plain.get(name) ?? []), ...tested].sort((a, b) => a - b).map((place) => entries[place]!);
  };
}

/** Return the error of a key without a file to add it to. */
export function noFile(name: string): VolleyError {
  return new VolleyError("HOST_KEY_UNKNOWN", `there is no file to add the key of ${name} to`, {
    hint: "UserKnownHostsFile is none: add the key to GlobalKnownHostsFile, or name a file with --known-hosts",
  });
}

function judge(found: readonly KnownHost[], key: Buffer): KeyVerdict {
  const same = found.filter((entry) => entry.key.equals(key));
  const revoked = same.find(({ marker }) => marker === "@revoked");
  if (revoked !== undefined) return { kind: "revoked", file: revoked.file, line: revoked.line };
  if (same.some(({ marker }) => marker === undefined)) return { kind: "known" };
  const type = keyType(key);
  const listed = found.filter(({ marker }) => marker === undefined);
  // A key of another type counts as changed, too: only listed types were negotiated.
  const other = listed.find((entry) => entry.type === type) ?? listed[0];
  if (other !== undefined) return { kind: "changed", file: other.file, line: other.line };
  const authority = found.find(({ marker }) => marker === "@cert-authority");
  return authority === undefined
    ? { kind: "unknown" }
    : { kind: "certified", file: authority.file, line: authority.line };
}

/** Count the lines, including a last one without an end. */
function countLines(content: Buffer): number {
  let lines = 0;
  for (let at = 0; at < content.length; lines++) {
    const end = content.indexOf(NEWLINE, at);
    at = end < 0 ? content.length : end + 1;
  }
  return lines;
}

/** Hash a name as ssh-keygen -H does: salted, so that the file does not reveal the hosts. */
export function hashName(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
}

/** Return a host's name in known_hosts: `[address]:port` unless the port is 22. */
export function hostName(address: string, port: number): string {
  const name = address.toLowerCase();
  return port === USUAL_PORT ? name : `[${name}]:${port}`;
}

/** Return the type that a key blob begins with (RFC 4253, section 6.6). */
export function keyType(key: Buffer): string {
  return key.toString("latin1", 4, 4 + key.readUInt32BE(0));
}

/** Return a key's fingerprint as ssh-keygen -l prints it: `SHA256:` and unpadded base64. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** Return the bits of an RSA key's modulus (RFC 4253, section 6.6); undefined for keys of other types. */
export function rsaBits(key: Buffer): number | undefined {
  if (keyType(key) !== "ssh-rsa") return undefined;
  const exponentAt = 4 + key.readUInt32BE(0);
  const modulusAt = exponentAt + 4 + key.readUInt32BE(exponentAt);
  const modulus = key.subarray(modulusAt + 4, modulusAt + 4 + key.readUInt32BE(modulusAt));
  const first = modulus.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (modulus.length - first) * 8 - Math.clz32(modulus[first]!) + 24;
}

function parseFile(file: string, problems: string[]): readonly KnownHost[] {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR")
      problems.push(`${file} cannot be read: ${fileReason(thrown)}`);
    return [];
  }
  return text.split("\n").flatMap((line, index) => parseLine(file, index + 1, line) ?? []);
}

/** Parse one line; damaged lines are skipped, as by `ssh`. */
function parseLine(file: string, line: number, text: string): KnownHost | undefined {
  const fields = text.trim().split(/\s+/);
  const marker = fields[0] === "@revoked" || fields[0] === "@cert-authority" ? fields.shift() : undefined;
  const [names, type, base64] = fields;
  if (names === undefined || /^[#@]/.test(names) || type === undefined || base64 === undefined)
    return undefined;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const key = Buffer.from(base64, "base64");
  if (key.length < 8 || keyType(key) !== type) return undefined;
  return { file, line, marker: marker as KnownHost["marker"], names: namesOf(names), type, key };
}

function namesOf(names: string): KnownHost["names"] {
  if (names.startsWith("|1|")) {
    const [salt, hash] = names
      .split("|")
      .slice(2, 4)
      .map((text) => Buffer.from(text, "base64"));
    if (salt === undefined || hash === undefined) return () => false;
    const wanted = hash.toString("base64");
    return (name) => createHmac("sha1", salt).update(name).digest("base64") === wanted;
  }
  // Most lines hold plain names, which need no pattern.
  if (!/[*?!]/.test(names)) return names.toLowerCase().split(",");
  const patterns = names.split(",").map((pattern) => {
    const negated = pattern.startsWith("!");
    const glob = (negated ? pattern.slice(1) : pattern).toLowerCase();
    return { negated, pieces: globPieces(glob) };
  });
  return (name) =>
    patterns.some(({ negated, pieces }) => !negated && matchesGlob(pieces, name)) &&
    !patterns.some(({ negated, pieces }) => negated && matchesGlob(pieces, name));
}
