import { createHmac } from "node:crypto";

/** What one block of SHA-1 holds beside its padding; names are shorter, but for freaks. */
const MAX_NAME_BYTES = 55;
const START = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
const DIGEST_BYTES = 20;

/**
 * Makes a matcher of a hashed name in known_hosts: HMAC-SHA1 of the name, keyed with the salt (RFC 2104). A fleet is
 * looked up in every line of a file, and node:crypto takes ten times as long for the few bytes of a name.
 */
export function hashedNameMatcher(salt: Buffer, wanted: Buffer): (name: Buffer) => boolean {
  let pads: readonly [Int32Array, Int32Array] | undefined;
  if (wanted.length !== DIGEST_BYTES) return () => false;
  const words = Int32Array.from({ length: 5 }, (_none, index) => wanted.readInt32BE(index * 4));
  return (name) => {
    if (name.length > MAX_NAME_BYTES || salt.length > 64)
      return createHmac("sha1", salt).update(name).digest().equals(wanted);
    pads ??= [padded(salt, 0x36), padded(salt, 0x5c)];
    const inner = digestAfter(pads[0], name);
    for (let index = 0; index < 5; index++) INNER.writeInt32BE(inner[index]!, index * 4);
    const outer = digestAfter(pads[1], INNER);
    return outer.every((word, index) => word === words[index]);
  };
}

const INNER = Buffer.alloc(DIGEST_BYTES);
const BLOCK = Buffer.alloc(64);
const SCHEDULE = new Int32Array(80);

/** SHA-1's state after the block that HMAC makes of a key. */
function padded(key: Buffer, byte: number): Int32Array {
  BLOCK.fill(byte);
  for (let index = 0; index < key.length; index++) BLOCK[index] = key[index]! ^ byte;
  return compress(START, BLOCK);
}

/** The digest when one more block, the last, follows 64 bytes. */
function digestAfter(state: Int32Array, message: Buffer): Int32Array {
  BLOCK.fill(0);
  message.copy(BLOCK);
  BLOCK[message.length] = 0x80;
  BLOCK.writeUInt32BE((64 + message.length) * 8, 60);
  return compress(state, BLOCK);
}

/** One round of SHA-1 (RFC 3174, section 6.1). */
function compress(state: Int32Array, block: Buffer): Int32Array {
  const w = SCHEDULE;
  for (let t = 0; t < 16; t++) w[t] = block.readInt32BE(t * 4);
  for (let t = 16; t < 80; t++) {
    const mixed = w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!;
    w[t] = (mixed << 1) | (mixed >>> 31);
  }
  let [a, b, c, d, e] = state as unknown as [number, number, number, number, number];
  for (let t = 0; t < 80; t++) {
    const f =
      t < 20
        ? ((b & c) | (~b & d)) + 0x5a827999
        : t < 40
          ? (b ^ c ^ d) + 0x6ed9eba1
          : t < 60
            ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
            : (b ^ c ^ d) + 0xca62c1d6;
    const next = (((a << 5) | (a >>> 27)) + f + e + w[t]!) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = next;
  }
  return Int32Array.of(state[0]! + a, state[1]! + b, state[2]! + c, state[3]! + d, state[4]! + e);
}
