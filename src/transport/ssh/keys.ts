import * as fs from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { ParsedKey } from "ssh2";
import { fileReason, VolleyError } from "../../core/errors.ts";

import { printable } from "../../core/text.ts";
import { parseKey, parsePublicHalf } from "./parse-key.ts";

/** Asks a person for a passphrase; null when there is nobody to ask. */
export type AskPassphrase = (prompt: string) => Promise<string | null>;

const MAX_TRIES = 3;

/** The private keys of a run: each file is read, and its passphrase asked, once. */
export class KeyRing {
  readonly #ask: AskPassphrase;
  readonly #parsed = new Map<string, Promise<ParsedKey>>();
  readonly #peeked = new Map<string, Peeked | undefined>();

  constructor(ask: AskPassphrase) {
    this.#ask = ask;
  }

  /** The key in a file. Fails with `AUTH_FAILED` when it cannot be read, parsed or decrypted. */
  load(file: string): Promise<ParsedKey> {
    const path = expandHome(file);
    let key = this.#parsed.get(path);
    if (key === undefined) {
      key = this.#read(path);
      this.#parsed.set(path, key);
    }
    return key;
  }

  /** Whether a file's key needs a passphrase; false also for what is no key. */
  isEncrypted(file: string): boolean {
    return this.#peek(file)?.encrypted === true;
  }

  /** Whether a file holds a private key, be it an encrypted one. */
  hasPrivateKey(file: string): boolean {
    const peeked = this.#peek(file);
    return peeked !== undefined && (peeked.encrypted || peeked.key?.isPrivateKey() === true);
  }

  /**
   * The public half of a file's key, as ssh finds it: in the file itself, which an encrypted key in OpenSSH's format holds
   * in clear, else in `FILE.pub`; undefined when there is none.
   */
  publicKey(file: string): ParsedKey | undefined {
    return this.#peek(file)?.key ?? this.#peek(`${expandHome(file)}.pub`)?.key;
  }

  #peek(file: string): Peeked | undefined {
    const path = expandHome(file);
    if (!this.#peeked.has(path)) this.#peeked.set(path, peekAtKey(path));
    return this.#peeked.get(path);
  }

  async #read(path: string): Promise<ParsedKey> {
    let content: Buffer;
    try {
      content = fs.readFileSync(path);
    } catch (thrown) {
      throw new VolleyError("AUTH_FAILED", `cannot read the private key ${path}: ${fileReason(thrown)}`);
    }
    let parsed = parseKey(content);
    const encrypted = parsed instanceof Error && isEncrypted(parsed);
    for (let tries = 0; encrypted && parsed instanceof Error && tries < MAX_TRIES; tries++) {
      const passphrase = await this.#ask(
        tries === 0 ? `Passphrase for ${path}: ` : `Wrong. Passphrase for ${path}: `,
      );
      if (passphrase === null) {
        throw new VolleyError(
          "AUTH_FAILED",
          `the private key ${path} is encrypted and there is no terminal to ask for its passphrase`,
          {
            hint: "load it into ssh-agent with ssh-add",
          },
        );
      }
      parsed = parseKey(content, passphrase);
    }
    if (parsed instanceof Error) {
      const why = encrypted ? "the passphrase is wrong" : explainFormat(parsed);
      throw new VolleyError("AUTH_FAILED", `cannot use the private key ${path}: ${printable(why, 300)}`);
    }
    if (!parsed.isPrivateKey()) {
      throw new VolleyError("AUTH_FAILED", `${path} holds no private key`, {
        hint: "give the file without .pub",
      });
    }
    return parsed;
  }
}

function explainFormat({ message }: Error): string {
  return /unsupported key format/i.test(message)
    ? "it holds no key in a format that is understood (OpenSSH, PEM, PKCS#8, PuTTY)"
    : message;
}

function expandHome(file: string): string {
  return file.startsWith("~/") ? join(homedir(), file.slice(2)) : file;
}

/** What can be seen of a key without its passphrase. */
interface Peeked {
  readonly encrypted: boolean;
  readonly key: ParsedKey | undefined;
}

function peekAtKey(path: string): Peeked | undefined {
  let content: Buffer;
  try {
    content = fs.readFileSync(path);
  } catch {
    return undefined;
  }
  const parsed = parseKey(content);
  if (!(parsed instanceof Error)) return { encrypted: false, key: parsed };
  return isEncrypted(parsed) ? { encrypted: true, key: parsePublicHalf(content) } : undefined;
}

function isEncrypted(error: Error): boolean {
  return /encrypted|passphrase|integrity check|bad decrypt/i.test(error.message);
}
