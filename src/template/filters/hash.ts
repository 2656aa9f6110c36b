import { createHash, getHashes, randomInt } from "node:crypto";
import { textToBytes } from "../../core/values/bytes.ts";
import { fail } from "../errors.ts";
import { type Callable, callable, intArgument, str } from "../values.ts";

const SALT_CHARACTERS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function digest(algorithm: string, value: unknown): string {
  if (!getHashes().includes(algorithm)) return fail(`there is no hash '${algorithm}'`);
  return createHash(algorithm)
    .update(textToBytes(str(value)))
    .digest("hex");
}

function passwordHash(
  value: unknown,
  scheme: unknown = "sha512",
  salt: unknown = null,
  _size: unknown = null,
  rounds: unknown = null,
): string {
  const kind = str(scheme).replace(/_?crypt$/, "");
  const random = (): string =>
    Array.from({ length: 16 }, () => SALT_CHARACTERS.charAt(randomInt(64))).join("");
  const text = salt === null ? random() : str(salt);
  if (/[^./0-9A-Za-z]/.test(text)) fail("password_hash: the salt may hold only letters, digits, '.' and '/'");
  return sha2Crypt(kind, str(value), text, rounds === null ? undefined : intArgument(rounds, 5000));
}

/** Make a UUID as Ansible's `to_uuid` does: version 5. Default: Ansible's own namespace. */
function toUuid(value: unknown, namespace: unknown = "361E6D51-FAEC-444A-9079-341386DA8E2E"): string {
  const bytes = createHash("sha1")
    .update(Buffer.from(str(namespace).replaceAll("-", ""), "hex"))
    .update(str(value))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Ansible's filters of digests and password hashes. */
export const hashFilters: Readonly<Record<string, Callable>> = {
  hash: callable(["value", "hashtype"], (value: unknown, type: unknown = "sha1") => digest(str(type), value)),
  checksum: callable(["value"], (value: unknown) => digest("sha1", value)),
  md5: callable(["value"], (value: unknown) => digest("md5", value)),
  sha1: callable(["value"], (value: unknown) => digest("sha1", value)),
  password_hash: callable(["value", "hashtype", "salt", "salt_size", "rounds"], passwordHash),
  to_uuid: callable(["value", "namespace"], toUuid),
};

const ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const DEFAULT_ROUNDS = 5000;

interface Scheme {
  readonly id: string;
  readonly hash: "sha256" | "sha512";
  readonly size: number;
  /** The order of the digest's bytes in the text, three at a time. */
  readonly order: readonly (readonly number[])[];
}

function rotating(
  size: number,
  steps: readonly [number, number, number],
  groups: number,
  tail: readonly number[],
): number[][] {
  let triple: readonly number[] = steps;
  const order: number[][] = [];
  for (let index = 0; index < groups; index++) {
    order.push([...triple]);
    const [a = 0, b = 0, c = 0] = triple;
    triple = size === 64 ? [b + 1, c + 1, a + 1] : [c + 1, a + 1, b + 1];
  }
  return [...order, [...tail]];
}

/** The schemes of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512" (public domain), by Ansible's names. */
const SCHEMES: Readonly<Record<string, Scheme>> = {
  sha512: { id: "6", hash: "sha512", size: 64, order: rotating(64, [0, 21, 42], 21, [63]) },
  sha256: { id: "5", hash: "sha256", size: 32, order: rotating(32, [0, 10, 20], 10, [31, 30]) },
};

function encode(digest: Buffer, order: Scheme["order"]): string {
  let text = "";
  for (const bytes of order) {
    let word = bytes.reduce((value, index) => (value << 8) | (digest[index] ?? 0), 0);
    for (let left = bytes.length + 1; left > 0; left--) {
      text += ALPHABET.charAt(word & 63);
      word >>>= 6;
    }
  }
  return text;
}

function stretch(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest);
}

/** Hash a password as crypt(3) does, by sha512-crypt or sha256-crypt. Rounds are written unless they are the default, 5000. */
export function sha2Crypt(kind: string, password: string, salt: string, rounds: number | undefined): string {
  const scheme = SCHEMES[kind] ?? fail(`password_hash has no scheme '${kind}': use sha512 or sha256`);
  const key = Buffer.from(password);
  const saltBytes = Buffer.from(salt).subarray(0, 16);
  const hash = (...parts: readonly Buffer[]): Buffer => {
    const state = createHash(scheme.hash);
    for (const part of parts) state.update(part);
    return state.digest();
  };
  const alternate = hash(key, saltBytes, key);
  const mixed = [key, saltBytes, stretch(alternate, key.length)];
  for (let length = key.length; length > 0; length >>= 1) mixed.push(length & 1 ? alternate : key);
  let digest = hash(...mixed);
  const passwordBytes = stretch(hash(...Array.from(key, () => key)), key.length);
  const saltSum = hash(...Array.from({ length: 16 + (digest[0] ?? 0) }, () => saltBytes));
  const saltSequence = stretch(saltSum, saltBytes.length);
  const count = Math.min(999_999_999, Math.max(1000, rounds ?? DEFAULT_ROUNDS));
  for (let round = 0; round < count; round++) {
    const parts = [round & 1 ? passwordBytes : digest];
    if (round % 3) parts.push(saltSequence);
    if (round % 7) parts.push(passwordBytes);
    parts.push(round & 1 ? digest : passwordBytes);
    digest = hash(...parts);
  }
  const prefix = rounds === undefined || count === DEFAULT_ROUNDS ? "" : `rounds=${count}$`;
  return `$${scheme.id}$${prefix}${saltBytes.toString()}$${encode(digest, scheme.order)}`;
}
