import { createHash } from "node:crypto";

// OpenPGP public keys (RFC 9580), as far as package managers' keyrings need them: which keys a file holds, in bytes or
// in ASCII armor.

/** A primary key with all that belongs to it. */
export interface PublicKey {
  /** In capitals. */
  readonly fingerprint: string;
  /** Key ids of 16 hex digits in capitals: the primary key's, then those of its subkeys. */
  readonly ids: readonly string[];
  /** The packets, up to the next primary key. */
  readonly bytes: Uint8Array;
}

const PUBLIC_KEY = 6;
const PUBLIC_SUBKEY = 14;

/** Return the public keys in a file's content; empty for content that holds none. */
export function readPublicKeys(content: Uint8Array): readonly PublicKey[] {
  const bytes = dearmor(content);
  const keys: { fingerprint: string; ids: string[]; start: number; end: number }[] = [];
  for (const { tag, start, body, end } of packets(bytes)) {
    const last = keys.at(-1);
    if (tag === PUBLIC_KEY || tag === PUBLIC_SUBKEY) {
      const fingerprint = fingerprintOf(bytes.subarray(body, end));
      if (fingerprint === null) continue;
      const id = bytes[body] === 4 ? fingerprint.slice(-ID_DIGITS) : fingerprint.slice(0, ID_DIGITS);
      if (tag === PUBLIC_KEY) keys.push({ fingerprint, ids: [id], start, end });
      else last?.ids.push(id);
    }
    const current = keys.at(-1);
    if (current !== undefined) current.end = end;
  }
  return keys.map(({ fingerprint, ids, start, end }) => ({
    fingerprint,
    ids,
    bytes: bytes.subarray(start, end),
  }));
}

const ID_DIGITS = 16;

interface Packet {
  readonly tag: number;
  readonly start: number;
  /** Offset of its content. */
  readonly body: number;
  readonly end: number;
}

/** List the packets; ends at the first that is none, or is cut. */
function* packets(bytes: Uint8Array): Generator<Packet> {
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at]!;
    if ((first & 0x80) === 0) return;
    const isNew = (first & 0x40) !== 0;
    const tag = isNew ? first & 0x3f : (first >> 2) & 0x0f;
    const size = isNew ? newLength(bytes, at + 1) : oldLength(bytes, at + 1, first & 3);
    if (size === null) return;
    const body = at + 1 + size.bytes;
    const end = body + size.length;
    if (end > bytes.length) return;
    yield { tag, start: at, body, end };
    at = end;
  }
}

type Length = { readonly bytes: number; readonly length: number } | null;

function newLength(bytes: Uint8Array, at: number): Length {
  const first = bytes[at] ?? 255;
  if (first < 192) return { bytes: 1, length: first };
  if (first < 224) return { bytes: 2, length: ((first - 192) << 8) + (bytes[at + 1] ?? 0) + 192 };
  // A partial length: keys have none.
  if (first < 255) return null;
  return { bytes: 5, length: bigEndian(bytes, at + 1, 4) };
}

function oldLength(bytes: Uint8Array, at: number, type: number): Length {
  if (type === 3) return { bytes: 0, length: bytes.length - at };
  const count = 1 << type;
  return { bytes: count, length: bigEndian(bytes, at, count) };
}

function bigEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index++) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}

/** Return a key packet's fingerprint; null for versions before 4, which no package manager accepts. */
function fingerprintOf(body: Uint8Array): string | null {
  const version = body[0];
  if (version === 4) {
    const head = Buffer.from([0x99, body.length >> 8, body.length & 0xff]);
    return createHash("sha1").update(head).update(body).digest("hex").toUpperCase();
  }
  if (version === 5 || version === 6) {
    const head = Buffer.alloc(5);
    head[0] = version === 5 ? 0x9a : 0x9b;
    head.writeUInt32BE(body.length, 1);
    return createHash("sha256").update(head).update(body).digest("hex").toUpperCase();
  }
  return null;
}

const ARMOR = /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n([\s\S]*?)-----END PGP PUBLIC KEY BLOCK-----/g;

/** True for content in ASCII armor. */
export function isArmored(content: Uint8Array): boolean {
  return Buffer.from(content).includes("-----BEGIN PGP PUBLIC KEY BLOCK-----");
}

function dearmor(content: Uint8Array): Uint8Array {
  if (!isArmored(content)) return content;
  const blocks = [...Buffer.from(content).toString("latin1").matchAll(ARMOR)].map(([, block = ""]) => {
    // Headers such as Version stand before an empty line; the checksum begins with "=".
    const lines = block.split(/\r?\n/).map((line) => line.trim());
    const empty = lines.indexOf("");
    const data = lines.slice(lines.some((line) => line.includes(": ")) ? empty + 1 : 0);
    return Buffer.from(data.filter((line) => !line.startsWith("=")).join(""), "base64");
  });
  return Buffer.concat(blocks);
}

/** Write keys in ASCII armor. */
export function armor(bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc24(bytes));
  return [
    "-----BEGIN PGP PUBLIC KEY BLOCK-----",
    "",
    ...lines,
    `=${sum.subarray(1).toString("base64")}`,
    "-----END PGP PUBLIC KEY BLOCK-----",
    "",
  ].join("\n");
}

function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= 0x1864cfb;
    }
  }
  return crc & 0xffffff;
}
