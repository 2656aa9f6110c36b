import { createDecipheriv, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { printable } from "../core/text.ts";

// Written from the format's description in Ansible's documentation, "Format of files encrypted with Ansible Vault".

const HEADER = /^\$ANSIBLE_VAULT;(1\.[12]);([A-Z0-9]+)(?:;([^\s;]+))?[ \t]*\r?\n/;
const ITERATIONS = 10_000;
const KEY_BYTES = 32;
const IV_BYTES = 16;
const BLOCK_BYTES = 16;

const deriveBytes = promisify(pbkdf2);

/** What an encrypted text says of itself. */
export interface VaultEnvelope {
  /** The vault id it was encrypted for; null before format 1.2. */
  readonly label: string | null;
  readonly salt: Buffer;
  readonly mac: Buffer;
  readonly ciphertext: Buffer;
}

/** Whether a text is encrypted with Ansible Vault. */
export function isVault(text: string): boolean {
  return text.trimStart().startsWith("$ANSIBLE_VAULT;");
}

/** Takes an encrypted text apart; a text in words when it is damaged or of another format than 1.1 and 1.2 with AES256. */
export function parseVault(written: string): VaultEnvelope | string {
  const text = `${written.trim()}\n`;
  const header = HEADER.exec(text);
  if (header === null) return "its first line is not that of Ansible Vault 1.1 or 1.2";
  const [line, , cipher, label] = header;
  if (cipher !== "AES256")
    return `it is encrypted with ${printable(cipher ?? "", 40)}; only AES256 is supported`;
  const body = fromHex(text.slice(line.length).replace(/\s+/g, ""));
  const [salt, mac, ciphertext] = (body?.toString("latin1") ?? "").split("\n").map(fromHex);
  if (
    !salt ||
    !mac ||
    !ciphertext ||
    salt.length === 0 ||
    mac.length !== KEY_BYTES ||
    ciphertext.length === 0
  )
    return "it is damaged or cut off";
  return { label: label ?? null, salt, mac, ciphertext };
}

function fromHex(text: string): Buffer | undefined {
  return text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? Buffer.from(text, "hex") : undefined;
}

/** Decrypts with a password; null when it is not the right one. */
export async function openVault(envelope: VaultEnvelope, password: string): Promise<Buffer | null> {
  const { salt, mac, ciphertext } = envelope;
  const derived = await deriveBytes(password, salt, ITERATIONS, 2 * KEY_BYTES + IV_BYTES, "sha256");
  const [cipherKey, macKey] = [derived.subarray(0, KEY_BYTES), derived.subarray(KEY_BYTES, 2 * KEY_BYTES)];
  const expected = createHmac("sha256", macKey).update(ciphertext).digest();
  if (!timingSafeEqual(expected, mac)) return null;
  const decipher = createDecipheriv("aes-256-ctr", cipherKey, derived.subarray(2 * KEY_BYTES));
  const padded = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  // PKCS#7 (RFC 5652, 6.3).
  const padding = padded.at(-1) ?? 0;
  return padding >= 1 && padding <= BLOCK_BYTES ? padded.subarray(0, -padding) : padded;
}
