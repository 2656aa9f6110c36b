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
  if (wanted.length !== DIGEST_BYTES) return () => false;
  let pads: readonly [Int32Array, Int32Array] | undefined;
  const words = Int32Array.from({ length: 5 }, (_none, index) => wanted.readInt32BE(index * 4));
  return (name) => {
    if (name.length > MAX_NAME_BYTES || salt.length > 64)
      return createHmac("sha1", salt).update(name).digest().equals(wanted);
    pads ??= [padded(salt, 0x36), padded(salt, 0x5c)];
    INNER.set(compress(pads[0], lastBlock(name)));
    const outer = compress(pads[1], INNER);
    return outer.every((word, index) => word === words[index]);
  };
}

/** A digest, and what SHA-1 puts behind it as the last of two blocks. */
const INNER = new Int32Array(16);
INNER[5] = 1 << 31;
INNER[15] = (64 + DIGEST_BYTES) * 8;
const SCHEDULE = new Int32Array(80);
const blocks = new WeakMap<Buffer, Int32Array>();

/** SHA-1's state after the block that HMAC makes of a key. */
function padded(key: Buffer, byte: number): Int32Array {
  const block = Buffer.alloc(64, byte);
  for (let index = 0; index < key.length; index++) block[index] = key[index]! ^ byte;
  return compress(START, wordsOf(block));
}

/** A message as the last of two blocks; one name is looked for in many lines. */
function lastBlock(message: Buffer): Int32Array {
  let words = blocks.get(message);
  if (words === undefined) {
    const block = Buffer.alloc(64);
    message.copy(block);
    block[message.length] = 0x80;
    block.writeUInt32BE((64 + message.length) * 8, 60);
    words = wordsOf(block);
    blocks.set(message, words);
  }
  return words;
}

function wordsOf(block: Buffer): Int32Array {
  return Int32Array.from({ length: 16 }, (_none, index) => block.readInt32BE(index * 4));
}

/** One round of SHA-1 (RFC 3174, section 6.1). */
function compress(state: Int32Array, block: Int32Array): Int32Array {
  const w = SCHEDULE;
  w.set(block);
  for (let t = 16; t < 80; t++) {
    const mixed = w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!;
    w[t] = (mixed << 1) | (mixed >>> 31);
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
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
