import { createHash, getHashes, randomInt } from "node:crypto";
import { textToBytes } from "../../core/lossless-text.ts";
import { callable, intArgument } from "../calls.ts";
import { sha2Crypt } from "../crypt.ts";
import { fail } from "../errors.ts";
import { str } from "../repr.ts";
import type { Callable } from "../values.ts";

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

/** The UUIDs Ansible's `to_uuid` makes: version 5, in Ansible's own namespace unless another is given. */
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
