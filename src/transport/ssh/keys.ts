import * as fs from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import ssh2, { type ParsedKey } from "ssh2";
import { VolleyError } from "../../core/errors.ts";

/** Asks a person for a passphrase; null when there is nobody to ask. */
export type AskPassphrase = (prompt: string) => Promise<string | null>;

const DEFAULT_KEYS = ["id_ed25519", "id_ecdsa", "id_rsa"];
const MAX_TRIES = 3;

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
};

/** The private keys of a run: each file is read, and its passphrase asked, once. */
export class KeyRing {
  readonly #ask: AskPassphrase;
  readonly #parsed = new Map<string, Promise<ParsedKey>>();
  #defaults: Promise<readonly ParsedKey[]> | undefined;

  constructor(ask: AskPassphrase) {
    this.#ask = ask;
  }

  /** The key in a file. Fails with `AUTH_FAILED` when it cannot be read, parsed or decrypted. */
  load(file: string): Promise<ParsedKey> {
    const path = file.startsWith("~/") ? join(homedir(), file.slice(2)) : file;
    let key = this.#parsed.get(path);
    if (key === undefined) {
      key = this.#read(path);
      this.#parsed.set(path, key);
    }
    return key;
  }

  /** The keys ssh tries by itself, those that are there; encrypted ones only when `withEncrypted`. */
  defaults(withEncrypted: boolean): Promise<readonly ParsedKey[]> {
    this.#defaults ??= this.#loadDefaults(withEncrypted);
    return this.#defaults;
  }

  async #loadDefaults(withEncrypted: boolean): Promise<readonly ParsedKey[]> {
    const keys: ParsedKey[] = [];
    for (const name of DEFAULT_KEYS) {
      const path = join(homedir(), ".ssh", name);
      if (!fs.existsSync(path)) continue;
      if (!withEncrypted && ssh2.utils.parseKey(fs.readFileSync(path)) instanceof Error) continue;
      keys.push(await this.load(path));
    }
    return keys;
  }

  async #read(path: string): Promise<ParsedKey> {
    let content: Buffer;
    try {
      content = fs.readFileSync(path);
    } catch (thrown) {
      const { code = "", message } = thrown as NodeJS.ErrnoException;
      throw new VolleyError(
        "AUTH_FAILED",
        `cannot read the private key ${path}: ${READ_FAILURES[code] ?? message}`,
      );
    }
    let parsed = ssh2.utils.parseKey(content);
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
      parsed = ssh2.utils.parseKey(content, passphrase);
    }
    if (parsed instanceof Error) {
      const why = encrypted ? "the passphrase is wrong" : explainFormat(parsed);
      throw new VolleyError("AUTH_FAILED", `cannot use the private key ${path}: ${why}`);
    }
    const key = Array.isArray(parsed) ? parsed[0] : parsed;
    if (key === undefined || !key.isPrivateKey()) {
      throw new VolleyError("AUTH_FAILED", `${path} holds no private key`, {
        hint: "give the file without .pub",
      });
    }
    return key;
  }
}

function explainFormat({ message }: Error): string {
  return /unsupported key format/i.test(message)
    ? "it holds no key in a format that is understood (OpenSSH, PEM, PuTTY)"
    : message;
}

function isEncrypted(error: Error): boolean {
  return /encrypted|passphrase|integrity check|bad decrypt/i.test(error.message);
}
