import { createHash, createHmac, randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { dirname } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { globPieces, matchesGlob } from "../../core/glob.ts";
import { hashedNameMatcher } from "./hashed-name.ts";

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
interface KnownHost {
  readonly file: string;
  readonly line: number;
  readonly marker: "@revoked" | "@cert-authority" | undefined;
  readonly matches: (name: string, bytes: Buffer) => boolean;
  readonly type: string;
  readonly key: Buffer;
}

/** What the files say of a host's key. */
export type KeyVerdict =
  | { readonly kind: "known" }
  | { readonly kind: "unknown" }
  /** Not known, but a certificate would be (sshd(8), @cert-authority). */
  | { readonly kind: "certified"; readonly file: string; readonly line: number }
  | { readonly kind: "changed"; readonly file: string; readonly line: number }
  | { readonly kind: "revoked"; readonly file: string; readonly line: number };

/** The known_hosts files of a run. */
export interface KnownHosts {
  check(address: string, port: number, key: Buffer): KeyVerdict;
  /** The key types known for a host, in the order found: only these are worth asking it for. */
  keyTypes(address: string, port: number): readonly string[];
  /** Whether only a certificate could vouch for a host: there is a @cert-authority line for it, and no key. */
  needsCertificate(address: string, port: number): boolean;
  /** Adds a key to the first file, and to what is known from now on; `hashed`: without the name in clear. */
  add(address: string, port: number, key: Buffer, hashed?: boolean): void;
}

const NEWLINE = 0x0a;

/** Reads known_hosts files, those that are there; new keys are added to the first. */
export function openKnownHosts(files: readonly string[]): KnownHosts {
  let entries: readonly KnownHost[] | undefined;
  const load = (): readonly KnownHost[] => {
    entries ??= files.flatMap((file) => parseFile(file));
    return entries;
  };
  const byName = new Map<string, readonly KnownHost[]>();
  const entriesOf = (address: string, port: number): readonly KnownHost[] => {
    const name = hostName(address, port);
    let found = byName.get(name);
    // Hashed lines cost an HMAC each: every name is looked up once.
    if (found === undefined) {
      const bytes = Buffer.from(name);
      found = load().filter((entry) => entry.matches(name, bytes));
      byName.set(name, found);
    }
    return found;
  };
  const keyTypesOf = (address: string, port: number): readonly string[] => [
    ...new Set(entriesOf(address, port).flatMap(({ marker, type }) => (marker === undefined ? [type] : []))),
  ];
  return {
    check: (address, port, key) => {
      const found = entriesOf(address, port);
      const same = found.filter((entry) => entry.key.equals(key));
      const revoked = same.find(({ marker }) => marker === "@revoked");
      if (revoked !== undefined) return { kind: "revoked", file: revoked.file, line: revoked.line };
      if (same.some(({ marker }) => marker === undefined)) return { kind: "known" };
      const type = keyType(key);
      const other = found.find((entry) => entry.marker === undefined && entry.type === type);
      if (other !== undefined) return { kind: "changed", file: other.file, line: other.line };
      const authority = found.find(({ marker }) => marker === "@cert-authority");
      return authority === undefined
        ? { kind: "unknown" }
        : { kind: "certified", file: authority.file, line: authority.line };
    },
    keyTypes: keyTypesOf,
    needsCertificate: (address, port) =>
      load().some(({ marker }) => marker === "@cert-authority") &&
      keyTypesOf(address, port).length === 0 &&
      entriesOf(address, port).some(({ marker }) => marker === "@cert-authority"),
    add: (address, port, key, hashed = false) => {
      const [file] = files;
      if (file === undefined) return;
      const name = hostName(address, port);
      const line = `${hashed ? hashName(name) : name} ${keyType(key)} ${key.toString("base64")}\n`;
      let before: Buffer;
      try {
        fs.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        before = fs.existsSync(file) ? fs.readFileSync(file) : Buffer.alloc(0);
        const isMidLine = before.length > 0 && before.at(-1) !== NEWLINE;
        fs.appendFileSync(file, `${isMidLine ? "\n" : ""}${line}`, { mode: 0o600 });
      } catch (thrown) {
        throw new VolleyError(
          "HOST_KEY_UNKNOWN",
          `cannot add the key of ${name} to ${file}: ${(thrown as Error).message}`,
        );
      }
      byName.delete(name);
      const added = { file, line: countLines(before) + 1, type: keyType(key), key };
      entries = [...load(), { ...added, marker: undefined, matches: (other) => other === name }];
    },
  };
}

/** Lines, the last one also when it has no end. */
function countLines(content: Buffer): number {
  let lines = 0;
  for (let at = 0; at < content.length; lines++) {
    const end = content.indexOf(NEWLINE, at);
    at = end < 0 ? content.length : end + 1;
  }
  return lines;
}

/** As ssh-keygen -H writes it: salted, so that the file does not tell where one logs in. */
function hashName(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(name).digest("base64")}`;
}

/** How a host is called in known_hosts: `[address]:port` unless the port is 22. */
export function hostName(address: string, port: number): string {
  const name = address.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** The type a key blob names itself (RFC 4253, section 6.6). */
export function keyType(key: Buffer): string {
  return key.toString("latin1", 4, 4 + key.readUInt32BE(0));
}

/** `SHA256:…`, as ssh-keygen -l prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

function parseFile(file: string): readonly KnownHost[] {
  let text: string;
  try {
    text = fs.readFileSync(file, "utf8");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new VolleyError("HOST_KEY_UNKNOWN", `cannot read ${file}: ${(thrown as Error).message}`);
  }
  return text.split("\n").flatMap((line, index) => parseLine(file, index + 1, line) ?? []);
}

function parseLine(file: string, line: number, text: string): KnownHost | undefined {
  const fields = text.trim().split(/\s+/);
  const marker = fields[0] === "@revoked" || fields[0] === "@cert-authority" ? fields.shift() : undefined;
  const [names, type, base64] = fields;
  if (names === undefined || names.startsWith("#") || type === undefined || base64 === undefined)
    return undefined;
  const key = Buffer.from(base64, "base64");
  if (key.length < 8) return undefined;
  return { file, line, marker: marker as KnownHost["marker"], matches: nameMatcher(names), type, key };
}

const EMPTY = Buffer.alloc(0);

function nameMatcher(names: string): KnownHost["matches"] {
  if (names.startsWith("|1|")) {
    const [, , salt, hash] = names.split("|").map((text) => Buffer.from(text, "base64"));
    const matches = hashedNameMatcher(salt ?? EMPTY, hash ?? EMPTY);
    return (_name, bytes) => matches(bytes);
  }
  // Most lines are names: of thousands of them a regular expression each would take seconds.
  if (!/[*?!]/.test(names)) {
    const plain = names.toLowerCase().split(",");
    return (name) => plain.includes(name);
  }
  const patterns = names.split(",").map((pattern) => {
    const negated = pattern.startsWith("!");
    const glob = (negated ? pattern.slice(1) : pattern).toLowerCase();
    return { negated, pieces: globPieces(glob) };
  });
  return (name) =>
    patterns.some(({ negated, pieces }) => !negated && matchesGlob(pieces, name)) &&
    !patterns.some(({ negated, pieces }) => negated && matchesGlob(pieces, name));
}
