import { createHash, randomInt } from "node:crypto";
import { bcrypt, bcryptSalt, CRYPT_DIGITS, md5Crypt, sha2Crypt } from "../../system/crypt.ts";
import { fail } from "../errors.ts";
import { type Callable, callable, intArgument, str, textArgument } from "../values.ts";

/** What {@link hashPassword} makes of a password. */
interface HashOptions {
  /** Default: one by chance. */
  readonly salt?: string | undefined;
  /** The length of a salt by chance. */
  readonly saltSize?: number | undefined;
  readonly rounds?: number | undefined;
  /** The variant of bcrypt. Default: `2b`. */
  readonly ident?: string | undefined;
}

/** Return digits by chance, as salts have them. */
function randomDigits(size: number): string {
  return Array.from({ length: size }, () => CRYPT_DIGITS.charAt(randomInt(64))).join("");
}

/** Hash a password as crypt(3) does; `scheme` is Ansible's `hashtype`, such as `sha512`, `md5` or `blowfish`. */
export function hashPassword(password: string, scheme: string, options: HashOptions): string {
  const kind = scheme.replace(/_?crypt$/, "");
  const { rounds, ident = "2b", saltSize } = options;
  const isBcrypt = scheme === "bcrypt" || kind === "blowfish";
  const size = isBcrypt ? 22 : kind === "md5" ? 8 : Math.min(saltSize ?? 16, 16);
  const salt = options.salt ?? randomDigits(size);
  if (/[^./0-9A-Za-z]/.test(salt)) fail("password_hash: the salt may hold only letters, digits, '.' and '/'");
  if (isBcrypt) {
    const cost = rounds ?? 12;
    if (salt.length !== 22)
      fail("password_hash: the salt of bcrypt has exactly 22 letters, digits, '.' or '/'");
    if (cost < 4 || cost > 31) fail("password_hash: bcrypt takes 4 to 31 rounds");
    return bcrypt(password, bcryptSalt(salt), cost, ident);
  }
  if (kind === "md5") return md5Crypt("1", password, salt);
  return kind === "sha512" || kind === "sha256"
    ? sha2Crypt(kind, password, salt, rounds)
    : fail(`password_hash does not support '${kind}' algorithm: use sha512, sha256, md5 or bcrypt`);
}

/** Make a UUID as Ansible's `to_uuid` does: version 5. Default: Ansible's own namespace. */
function toUuid(value: unknown, namespace: unknown = "361E6D51-FAEC-444A-9079-341386DA8E2E"): string {
  const hex = str(namespace).replace(/^urn:uuid:|[{}-]/g, "");
  if (!/^[\da-f]{32}$/i.test(hex))
    fail(`Invalid value '${str(namespace)}' for 'namespace': badly formed hexadecimal UUID string`);
  const bytes = createHash("sha1")
    .update(Buffer.from(hex, "hex"))
    .update(str(value))
    .digest()
    .subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const optional = (value: unknown): string | undefined =>
  value === null || value === undefined ? undefined : str(value);

/** Ansible's filters of password hashes, and of identifiers made of texts. */
export const passwordFilters: Readonly<Record<string, Callable>> = {
  password_hash: callable(
    ["value", "hashtype", "salt", "salt_size", "rounds", "ident"],
    (
      value: unknown,
      scheme?: unknown,
      salt?: unknown,
      size: unknown = null,
      rounds: unknown = null,
      ident?: unknown,
    ) =>
      hashPassword(str(value), textArgument(scheme, "sha512"), {
        salt: optional(salt),
        saltSize: size === null ? undefined : intArgument(size, 8),
        rounds: rounds === null ? undefined : intArgument(rounds, 0),
        ident: optional(ident),
      }),
  ),
  type5_pw: callable(["value", "salt"], (value: unknown, salt?: unknown) =>
    md5Crypt("1", str(value), optional(salt) ?? randomDigits(4)),
  ),
  to_uuid: callable(["value", "namespace"], toUuid),
};
