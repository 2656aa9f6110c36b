import { createHash } from "node:crypto";

// Hashes of passwords, as crypt(3) and web servers know them: sha256-crypt and sha512-crypt, md5-crypt and Apache's
// variant of it, bcrypt, and the check of a password against any of them.

/** The digits of crypt(3)'s own Base64. */
export const CRYPT_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

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
const SCHEMES: Readonly<Record<"sha256" | "sha512", Scheme>> = {
  sha512: { id: "6", hash: "sha512", size: 64, order: rotating(64, [0, 21, 42], 21, [63]) },
  sha256: { id: "5", hash: "sha256", size: 32, order: rotating(32, [0, 10, 20], 10, [31, 30]) },
};

function encode(digest: Buffer, order: Scheme["order"]): string {
  let text = "";
  for (const bytes of order) {
    let word = bytes.reduce((value, index) => (value << 8) | (digest[index] ?? 0), 0);
    for (let left = bytes.length + 1; left > 0; left--) {
      text += CRYPT_DIGITS.charAt(word & 63);
      word >>>= 6;
    }
  }
  return text;
}

function stretch(digest: Buffer, length: number): Buffer {
  return Buffer.alloc(length, digest);
}

/** Hash a password as crypt(3) does, by sha512-crypt or sha256-crypt. Rounds are written unless they are the default, 5000. */
export function sha2Crypt(
  kind: keyof typeof SCHEMES,
  password: string,
  salt: string,
  rounds: number | undefined,
): string {
  const scheme = SCHEMES[kind];
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

/** The order of the digest's bytes in the text of an md5-crypt. */
const MD5_ORDER = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5], [11]] as const;

/** Hash a password by md5-crypt, or by Apache's variant of it (apr1). The salt has at most 8 characters. */
export function md5Crypt(kind: "1" | "apr1", password: string, salt: string): string {
  const [key, saltBytes] = [Buffer.from(password), Buffer.from(salt.slice(0, 8))];
  const hash = (...parts: readonly Uint8Array[]): Buffer => {
    const state = createHash("md5");
    for (const part of parts) state.update(part);
    return state.digest();
  };
  const mixed: Uint8Array[] = [key, Buffer.from(`$${kind}$`), saltBytes];
  mixed.push(stretch(hash(key, saltBytes, key), key.length));
  for (let length = key.length; length > 0; length >>= 1)
    mixed.push(length & 1 ? Buffer.alloc(1) : key.subarray(0, 1));
  let digest = hash(...mixed);
  for (let round = 0; round < 1000; round++) {
    const parts: Uint8Array[] = [round & 1 ? key : digest];
    if (round % 3) parts.push(saltBytes);
    if (round % 7) parts.push(key);
    parts.push(round & 1 ? digest : key);
    digest = hash(...parts);
  }
  return `$${kind}$${saltBytes.toString()}$${encode(digest, MD5_ORDER)}`;
}

/** Blowfish's tables before a key is mixed in: 18 words of the round keys, then four boxes of 256. */
interface Blowfish {
  readonly keys: Uint32Array;
  readonly boxes: Uint32Array;
}

const KEY_WORDS = 18;
const BOX_WORDS = 1024;

let initial: Blowfish | undefined;

/** Calculate the tables: they are the digits of pi behind the point, which are quicker made than carried along. */
function initialTables(): Blowfish {
  if (initial !== undefined) return initial;
  const bits = BigInt((KEY_WORDS + BOX_WORDS) * 32);
  const guard = 64n;
  const inverseTangent = (x: bigint): bigint => {
    const square = x * x;
    let power = (1n << (bits + guard)) / x;
    let sum = power;
    for (let n = 3n; power !== 0n; n += 2n) {
      power /= -square;
      sum += power / n;
    }
    return sum;
  };
  const pi = 4n * (4n * inverseTangent(5n) - inverseTangent(239n));
  const hex = ((pi - (3n << (bits + guard))) >> guard).toString(16).padStart(Number(bits) / 4, "0");
  const words = Uint32Array.from({ length: KEY_WORDS + BOX_WORDS }, (_, index) =>
    Number.parseInt(hex.slice(index * 8, index * 8 + 8), 16),
  );
  initial = { keys: words.slice(0, KEY_WORDS), boxes: words.slice(KEY_WORDS) };
  return initial;
}

/** Encrypt the two words of `block` in place. */
function encrypt({ keys, boxes }: Blowfish, block: Uint32Array): void {
  let left = block[0]!;
  let right = block[1]!;
  for (let round = 0; round < 16; round += 2) {
    left ^= keys[round]!;
    right ^=
      (((boxes[left >>> 24]! + boxes[256 + ((left >>> 16) & 255)]!) ^ boxes[512 + ((left >>> 8) & 255)]!) +
        boxes[768 + (left & 255)]!) |
      0;
    right ^= keys[round + 1]!;
    left ^=
      (((boxes[right >>> 24]! + boxes[256 + ((right >>> 16) & 255)]!) ^ boxes[512 + ((right >>> 8) & 255)]!) +
        boxes[768 + (right & 255)]!) |
      0;
  }
  block[0] = right ^ keys[17]!;
  block[1] = left ^ keys[16]!;
}

/** Return the words of bytes that are repeated endlessly. */
function repeated(bytes: Uint8Array, count: number): Uint32Array {
  let at = 0;
  const next = (): number => bytes[at++ % bytes.length]!;
  return Uint32Array.from({ length: count }, () => (next() << 24) | (next() << 16) | (next() << 8) | next());
}

/** Mix a key, and in the first step a salt, into the tables. */
function expand(tables: Blowfish, key: Uint32Array, salt: Uint32Array): void {
  for (let index = 0; index < KEY_WORDS; index++) tables.keys[index]! ^= key[index]!;
  const block = new Uint32Array(2);
  let word = 0;
  for (const part of [tables.keys, tables.boxes])
    for (let index = 0; index < part.length; index += 2) {
      block[0]! ^= salt[word]!;
      block[1]! ^= salt[word + 1]!;
      word = (word + 2) % 4;
      encrypt(tables, block);
      part[index] = block[0]!;
      part[index + 1] = block[1]!;
    }
}

const BCRYPT_DIGITS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

function translate(text: string, from: string, to: string): string {
  return text.replace(/./g, (digit) => to.charAt(from.indexOf(digit)));
}

function bcryptText(bytes: Uint8Array): string {
  return translate(Buffer.from(bytes).toString("base64").replace(/=+$/, ""), BASE64_DIGITS, BCRYPT_DIGITS);
}

/** Return the 16 bytes that the 22 digits of a salt of bcrypt stand for. */
export function bcryptSalt(digits: string): Uint8Array {
  return Buffer.from(translate(digits, BCRYPT_DIGITS, BASE64_DIGITS), "base64");
}

/**
 * Hash a password by bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme"). `salt` has 16 bytes, and the
 * work doubles with each step of `cost`: 12 takes about a second. Bytes of the password beyond 72 do not count.
 */
export function bcrypt(password: string, salt: Uint8Array, cost: number, version = "2y"): string {
  const key = repeated(Buffer.from(`${password}\0`).subarray(0, 72), KEY_WORDS);
  const saltWords = repeated(salt, 4);
  const saltKey = repeated(salt, KEY_WORDS);
  const none = new Uint32Array(4);
  const { keys, boxes } = initialTables();
  const tables = { keys: keys.slice(), boxes: boxes.slice() };
  expand(tables, key, saltWords);
  for (let round = 0; round < 2 ** cost; round++) {
    expand(tables, key, none);
    expand(tables, saltKey, none);
  }
  const text = repeated(Buffer.from("OrpheanBeholderScryDoubt"), 6);
  for (let index = 0; index < 6; index += 2)
    for (let time = 0; time < 64; time++) encrypt(tables, text.subarray(index, index + 2));
  const bytes = Buffer.alloc(24);
  for (const [index, word] of text.entries()) bytes.writeUInt32BE(word, index * 4);
  const rounds = String(cost).padStart(2, "0");
  return `$${version}$${rounds}$${bcryptText(salt)}${bcryptText(bytes.subarray(0, 23))}`;
}

/** The forms of hashes, each with the way to make the same one of a password. */
const FORMS: readonly (readonly [RegExp, (password: string, found: readonly string[]) => string])[] = [
  [
    /^\$(apr1|1)\$([^$]{0,8})\$/,
    (password, [, kind, salt]) => md5Crypt(kind as "1" | "apr1", password, salt!),
  ],
  [
    /^\$(5|6)\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$/,
    (password, [, id, rounds, salt]) =>
      sha2Crypt(
        id === "5" ? "sha256" : "sha512",
        password,
        salt!,
        rounds === undefined ? undefined : Number(rounds),
      ),
  ],
  [
    /^\$(2[aby])\$(0[4-9]|1\d|2\d|3[01])\$([./A-Za-z0-9]{22})/,
    (password, [, version, cost, salt]) => {
      const bytes = bcryptSalt(salt!);
      return bcrypt(password, bytes, Number(cost), version);
    },
  ],
  [/^\{SHA\}/, (password) => sha1Text(password)],
];

/** Return the SHA-1 of a password as LDAP and Apache write it: `{SHA}` and Base64. */
export function sha1Text(password: string): string {
  return `{SHA}${createHash("sha1").update(password).digest("base64")}`;
}

/** Tell whether a password fits a hash of any of the forms above; any other text is taken for the password itself. */
export function isPassword(password: string, hash: string): boolean {
  for (const [form, make] of FORMS) {
    const found = form.exec(hash);
    if (found !== null) return make(password, found) === hash;
  }
  return password === hash;
}
