import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  pbkdf2Sync,
  randomBytes,
  timingSafeEqual,
} from "node:crypto";
import { isVault, parseVault, VAULT_KEY_BYTES } from "../../vars/vault-format.ts";
import { fail } from "../errors.ts";
import { type Callable, callable, str, textArgument, typeName } from "../values.ts";

// The same format as vars/secrets/vault.ts reads, which belongs to the controller and may wait.

const ITERATIONS = 10_000;
const IV_BYTES = 16;

/** The keys that a password and a salt give: of the cipher, of the check sum, and the start of the counter. */
function keysOf(password: string, salt: Buffer): readonly [Buffer, Buffer, Buffer] {
  const bytes = pbkdf2Sync(password, salt, ITERATIONS, 2 * VAULT_KEY_BYTES + IV_BYTES, "sha256");
  return [
    bytes.subarray(0, VAULT_KEY_BYTES),
    bytes.subarray(VAULT_KEY_BYTES, 2 * VAULT_KEY_BYTES),
    bytes.subarray(2 * VAULT_KEY_BYTES),
  ];
}

function encrypt(text: string, password: string, salt: Buffer, label: string): string {
  const [cipherKey, macKey, counter] = keysOf(password, salt);
  // Node pads no stream cipher, and the format wants PKCS#7 (RFC 5652, 6.3).
  const size = Buffer.byteLength(text);
  const padding = 16 - (size % 16);
  const cipher = createCipheriv("aes-256-ctr", cipherKey, counter);
  const secret = Buffer.concat([
    cipher.update(Buffer.concat([Buffer.from(text), Buffer.alloc(padding, padding)])),
    cipher.final(),
  ]);
  const mac = createHmac("sha256", macKey).update(secret).digest();
  const inner = [salt, mac, secret].map((part) => part.toString("hex")).join("\n");
  const lines =
    Buffer.from(inner)
      .toString("hex")
      .match(/.{1,80}/g) ?? [];
  return `${[`$ANSIBLE_VAULT;1.2;AES256;${label}`, ...lines].join("\n")}\n`;
}

function decrypt(text: string, password: string): string {
  const envelope = parseVault(text);
  if (typeof envelope === "string") return fail(`Unable to decrypt: ${envelope}`);
  const { salt, mac, ciphertext } = envelope;
  const [cipherKey, macKey, counter] = keysOf(password, salt);
  if (!timingSafeEqual(createHmac("sha256", macKey).update(ciphertext).digest(), mac))
    return fail("Unable to decrypt: the password does not open it");
  const decipher = createDecipheriv("aes-256-ctr", cipherKey, counter);
  const padded = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  return padded.subarray(0, -(padded.at(-1) ?? 0)).toString("utf8");
}

function textOf(value: unknown, filter: string): string {
  return typeof value === "string"
    ? value
    : fail(`Can only ${filter} strings, instead we got: ${typeName(value)}`);
}

/** Ansible's filters of encrypted text. */
export const vaultFilters: Readonly<Record<string, Callable>> = {
  vault: callable(
    ["value", "secret", "salt", "vaultid", "wrap_object"],
    (value: unknown, secret: unknown, salt: unknown = null, label?: unknown) =>
      encrypt(
        textOf(value, "vault"),
        str(secret),
        salt === null || salt === "" ? randomBytes(32) : Buffer.from(str(salt)),
        textArgument(label, "filter_default"),
      ),
  ),
  unvault: callable(["value", "secret", "vaultid"], (value: unknown, secret: unknown) => {
    const text = textOf(value, "unvault");
    return isVault(text) ? decrypt(text, str(secret)) : text;
  }),
};
