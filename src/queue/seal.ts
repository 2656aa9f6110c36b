import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { messageOf, printable, VolleyError } from "../core/errors.ts";

// Everything that passes through Redis is sealed with a key that Redis does not have.
//
// A sealed message is: version (1 byte), flags (1), key id (4), salt (16), nonce (12), ciphertext, tag (16). The cipher is
// AES-256-GCM; header and purpose are its additional data.
//
// AES-GCM with random 96-bit nonces is safe for 2^32 messages per key (NIST SP 800-38D, 8.3): a repeated nonce would give
// away the key that authenticates. A queue key lives for years, and heartbeats and events of a large fleet exceed that
// number. So no message is sealed with the queue key itself: every process seals with keys of its own, which HKDF-SHA-256
// derives from the queue key and a random salt, and takes a fresh salt after MESSAGES_PER_SALT messages. The opener derives
// the same key from the salt in the header.

/** The secret that controllers and workers share, and that Redis does not have. */
export interface QueueKey {
  /** 32 random bytes. */
  readonly secret: Uint8Array;
}

/** Encrypts and authenticates messages of the queue. */
export interface Seal {
  /**
   * Seal bytes for a purpose, such as `job RUN HOST`; only the same purpose opens them. Fails with `QUEUE_FAILED` for more
   * than 64 MiB.
   */
  seal(purpose: string, plain: Uint8Array): Buffer;
  /**
   * Return the bytes that were sealed for this purpose. Fails with `QUEUE_REFUSED` for a message that was not sealed with
   * one of the keys, was sealed for another purpose, or was changed.
   */
  open(purpose: string, sealed: Uint8Array): Buffer;
}

const VERSION = 1;
const DEFLATED = 1;
const ID_BYTES = 4;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const SALT_AT = 2 + ID_BYTES;
const NONCE_AT = SALT_AT + SALT_BYTES;
const HEADER_BYTES = NONCE_AT + NONCE_BYTES;

const MESSAGES_PER_SALT = 2 ** 30;
/** Shorter messages do not become shorter by deflating. */
const DEFLATED_FROM = 256;
/** Limit of a message in clear, in bytes: a small sealed message must not fill the memory of the process that opens it. */
export const MAX_PLAIN = 64 << 20;
/** Processes that seal for this one, at most: a controller opens messages of all workers, a worker those of all controllers. */
const MAX_DERIVED = 4_096;

/** Make a seal. The first key seals, and each key opens: that is how a key is replaced while runs go on. */
export function createSeal(keys: readonly QueueKey[]): Seal {
  const [first] = keys;
  if (first === undefined) throw new VolleyError("USAGE", "a queue needs a key");
  const ids = keys.map(keyId);
  const freshKey = () => {
    const salt = randomBytes(SALT_BYTES);
    return { salt, key: derive(first, salt, "seal", KEY_BYTES), left: MESSAGES_PER_SALT };
  };
  let own = freshKey();

  const derived = new Map<string, Buffer>();
  const openKey = (index: number, theirSalt: Buffer): Buffer => {
    const name = `${index} ${theirSalt.toString("latin1")}`;
    const found = derived.get(name) ?? derive(keys[index]!, theirSalt, "seal", KEY_BYTES);
    // Used last, removed last.
    derived.delete(name);
    derived.set(name, found);
    if (derived.size > MAX_DERIVED) derived.delete(derived.keys().next().value!);
    return found;
  };

  return {
    seal: (purpose, plain) => {
      if (plain.length > MAX_PLAIN)
        throw new VolleyError(
          "QUEUE_FAILED",
          `${shown(purpose)} has ${plain.length} bytes, and a message of the queue at most ${MAX_PLAIN}`,
        );
      if (own.left === 0) own = freshKey();
      own.left--;
      const deflated = plain.length < DEFLATED_FROM ? plain : deflateRawSync(plain);
      const isShorter = deflated.length < plain.length;
      const header = Buffer.concat([
        Buffer.of(VERSION, isShorter ? DEFLATED : 0),
        ids[0]!,
        own.salt,
        randomBytes(NONCE_BYTES),
      ]);
      const cipher = createCipheriv("aes-256-gcm", own.key, header.subarray(NONCE_AT));
      cipher.setAAD(additionalData(header, purpose));
      const body = cipher.update(isShorter ? deflated : plain);
      return Buffer.concat([header, body, cipher.final(), cipher.getAuthTag()]);
    },

    open: (purpose, sealed) => {
      const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
      if (bytes.length < HEADER_BYTES + TAG_BYTES) throw refused(purpose);
      const header = bytes.subarray(0, HEADER_BYTES);
      if (header[0] !== VERSION)
        throw refused(purpose, "all controllers and workers of a queue need the same version of Volley");
      const id = header.subarray(2, SALT_AT);
      const candidates = ids.flatMap((each, index) => (each.equals(id) ? [index] : []));
      if (candidates.length === 0)
        throw refused(purpose, "controllers and workers of a queue need the same key: see --queue-key");
      for (const index of candidates) {
        const decipher = createDecipheriv(
          "aes-256-gcm",
          openKey(index, header.subarray(SALT_AT, NONCE_AT)),
          header.subarray(NONCE_AT),
          { authTagLength: TAG_BYTES },
        );
        decipher.setAAD(additionalData(header, purpose));
        decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
        const body = decipher.update(bytes.subarray(HEADER_BYTES, -TAG_BYTES));
        try {
          decipher.final();
        } catch {
          continue;
        }
        return (header[1]! & DEFLATED) === 0 ? body : inflate(purpose, body);
      }
      throw refused(purpose);
    },
  };
}

/** Return the public name of a key: 4 bytes that tell nothing of it. */
export function keyId(key: QueueKey): Buffer {
  return derive(key, Buffer.alloc(0), "id", ID_BYTES);
}

/** Derive bytes from a queue key, by HKDF-SHA-256; other uses give other bytes. */
export function derive({ secret }: QueueKey, salt: Uint8Array, use: string, length: number): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, salt, `volley queue ${use}`, length));
}

/** The header has a fixed length, so no two pairs of header and purpose are the same bytes. */
function additionalData(header: Buffer, purpose: string): Buffer {
  return Buffer.concat([header, Buffer.from(purpose)]);
}

function inflate(purpose: string, deflated: Buffer): Buffer {
  try {
    return inflateRawSync(deflated, { maxOutputLength: MAX_PLAIN });
  } catch (cause) {
    throw new VolleyError("QUEUE_REFUSED", `${shown(purpose)} cannot be inflated: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The purpose has names that came through Redis. */
function shown(purpose: string): string {
  return `the message "${printable(purpose, 200)}"`;
}

function refused(purpose: string, hint?: string): VolleyError {
  return new VolleyError(
    "QUEUE_REFUSED",
    `${shown(purpose)} is not from a process that has the queue key, or was changed`,
    hint === undefined ? {} : { hint },
  );
}
