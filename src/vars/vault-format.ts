import { printable } from "../core/errors.ts";

// Written from the format's description in Ansible's documentation, "Format of files encrypted with Ansible Vault".

/** The length of each of the two keys that a password gives, in bytes. */
export const VAULT_KEY_BYTES = 32;

const HEADER = /^\$ANSIBLE_VAULT;(1\.[12]);([A-Z0-9]+)(?:;([^\s;]+))?[ \t]*\r?\n/;

/** The parts of an encrypted text. */
export interface VaultEnvelope {
  /** The vault id; null before format 1.2. */
  readonly label: string | null;
  readonly salt: Buffer;
  readonly mac: Buffer;
  readonly ciphertext: Buffer;
}

/** Tell whether a text is encrypted with Ansible Vault. */
export function isVault(text: string): boolean {
  return text.trimStart().startsWith("$ANSIBLE_VAULT;");
}

/** Take an encrypted text apart; return the fault in words for a damaged text, or for another format than 1.1 and 1.2 with AES256. */
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
    mac.length !== VAULT_KEY_BYTES ||
    ciphertext.length === 0
  )
    return "it is damaged or cut off";
  return { label: label ?? null, salt, mac, ciphertext };
}

function fromHex(text: string): Buffer | undefined {
  return text.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(text) ? Buffer.from(text, "hex") : undefined;
}
