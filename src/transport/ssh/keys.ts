import { createPrivateKey, type KeyObject } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import ssh2, { type BaseAgent, type ParsedKey } from "ssh2";
import { printable, VolleyError } from "../../core/errors.ts";
import { fileReason } from "../../core/unix/user-file.ts";

/** Asks a person for the passphrase of a key's file; null when no person can be asked. */
export type AskPassphrase = (prompt: string, file?: string) => Promise<string | null>;

const MAX_TRIES = 3;

/** The private keys of a run. Each file is read once, and its passphrase asked for once. */
export class KeyRing {
  readonly #ask: AskPassphrase;
  readonly #parsed = new Map<string, Promise<ParsedKey>>();
  readonly #peeked = new Map<string, Peeked | undefined>();
  readonly #passphrases: Map<string, string>;

  /** `passphrases` gets those that were right, by file. */
  constructor(ask: AskPassphrase, passphrases = new Map<string, string>()) {
    this.#ask = ask;
    this.#passphrases = passphrases;
  }

  /** Return the key in a file. Fails with `AUTH_FAILED` when it cannot be read, parsed or decrypted. */
  load(file: string): Promise<ParsedKey> {
    const path = expandHome(file);
    let key = this.#parsed.get(path);
    if (key === undefined) {
      key = this.#read(path);
      this.#parsed.set(path, key);
    }
    return key;
  }

  /** Return whether a file's key needs a passphrase; false for other files. */
  isEncrypted(file: string): boolean {
    return this.#peek(file)?.encrypted === true;
  }

  /** Return whether a file holds a private key, encrypted or not. */
  hasPrivateKey(file: string): boolean {
    const peeked = this.#peek(file);
    return peeked !== undefined && (peeked.encrypted || peeked.key?.isPrivateKey() === true);
  }

  /**
   * Return the public half of a file's key, as ssh finds it: in the file itself, where an encrypted key in OpenSSH's format
   * holds it in clear, else in `FILE.pub`. Undefined when there is none.
   */
  publicKey(file: string): ParsedKey | undefined {
    return this.#peek(file)?.key ?? this.#peek(`${expandHome(file)}.pub`)?.key;
  }

  /** Forget all keys and passphrases. */
  forget(): void {
    this.#parsed.clear();
    this.#peeked.clear();
    this.#passphrases.clear();
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
        path,
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
      if (!(parsed instanceof Error)) this.#passphrases.set(path, passphrase);
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

/** The parts of a key that are readable without its passphrase. */
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

/** Parse a key in OpenSSH's format, PEM or PKCS#8 (RFC 5958), as ssh-keygen writes them; return an Error for other content. */
export function parseKey(content: Buffer, passphrase?: string): ParsedKey | Error {
  const kind = /^-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/m.exec(content.toString("latin1"));
  if (kind !== null) return parsePkcs8(content, kind[1] !== undefined, passphrase);
  return oneKey(() => ssh2.utils.parseKey(content, passphrase));
}

const MAGIC = "openssh-key-v1\0";

/**
 * Return the public half of an encrypted key in OpenSSH's format, which holds it in clear (PROTOCOL.key); undefined for
 * other formats.
 */
export function parsePublicHalf(content: Buffer): ParsedKey | undefined {
  const [, base64] =
    /^-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)-----END OPENSSH PRIVATE KEY-----/m.exec(
      content.toString("latin1"),
    ) ?? [];
  const bytes = Buffer.from(base64 ?? "", "base64");
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
  try {
    let at = MAGIC.length;
    const string = (): Buffer => {
      const start = at + 4;
      at = start + bytes.readUInt32BE(at);
      return bytes.subarray(start, at);
    };
    // The cipher, the key derivation and its options.
    for (let part = 0; part < 3; part++) string();
    at += 4;
    const blob = string();
    const type = blob.toString("latin1", 4, 4 + blob.readUInt32BE(0));
    const parsed = oneKey(() => ssh2.utils.parseKey(`${type} ${blob.toString("base64")}`));
    return parsed instanceof Error ? undefined : parsed;
  } catch {
    return undefined;
  }
}

/** Convert a PKCS#8 key, which ssh2 does not read, to a PEM format that it reads. */
function parsePkcs8(
  content: Buffer,
  isEncrypted: boolean,
  passphrase: string | undefined,
): ParsedKey | Error {
  if (isEncrypted && passphrase === undefined) return new Error("it is encrypted");
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: content, ...(isEncrypted ? { passphrase } : {}) });
  } catch (thrown) {
    return thrown as Error;
  }
  const { asymmetricKeyType: type } = key;
  if (type === "rsa") return oneKey(() => ssh2.utils.parseKey(key.export({ type: "pkcs1", format: "pem" })));
  if (type === "ec") return oneKey(() => ssh2.utils.parseKey(key.export({ type: "sec1", format: "pem" })));
  return new Error("ssh2 reads no such key in PKCS#8: convert it with ssh-keygen -p -m RFC4716");
}

function oneKey(parse: () => ParsedKey | readonly ParsedKey[] | Error): ParsedKey | Error {
  let parsed: ParsedKey | readonly ParsedKey[] | Error | undefined;
  try {
    parsed = parse();
  } catch (thrown) {
    // ssh2 reads beyond the end of a damaged key.
    return new Error("it is damaged", { cause: thrown });
  }
  // For a file that claims to hold no key, ssh2 returns neither a key nor an error.
  const first = Array.isArray(parsed)
    ? (parsed as readonly ParsedKey[])[0]
    : (parsed as ParsedKey | Error | undefined);
  return first ?? new Error("it holds no key");
}

/** The keys of SSH agents; each agent is asked once per run. */
export interface Agents {
  /** Return an agent's keys; no keys and the reason when the agent does not answer. */
  keysOf(socket: string): Promise<AgentKeys>;
}

/** The keys of one agent. */
export interface AgentKeys {
  readonly keys: readonly ParsedKey[];
  readonly problem?: string;
}

const AGENT_TIMEOUT_MS = 5_000;

/** Make an {@link Agents}. */
export function createAgents(): Agents {
  const asked = new Map<string, Promise<AgentKeys>>();
  return {
    keysOf: (socket) => {
      let answer = asked.get(socket);
      if (answer === undefined) {
        answer = askAgent(socket);
        asked.set(socket, answer);
      }
      return answer;
    },
  };
}

function askAgent(socket: string): Promise<AgentKeys> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ keys: [], problem: "it does not answer" }), AGENT_TIMEOUT_MS);
    ssh2.createAgent(socket).getIdentities((error, found) => {
      clearTimeout(timer);
      if (error !== undefined && error !== null) return resolve({ keys: [], problem: error.message });
      const parsed = (found ?? []).map((key) => ssh2.utils.parseKey(key as Buffer));
      resolve({ keys: parsed.flatMap((key) => (key instanceof Error ? [] : [key].flat())) });
    });
  });
}

/** Return an agent that offers only one of its keys. */
export function agentWithKey(socket: string, key: ParsedKey): BaseAgent {
  const agent = ssh2.createAgent(socket) as BaseAgent<ParsedKey>;
  // The agent still signs; only its list of keys is narrowed.
  agent.getIdentities = (callback) => callback(undefined, [key]);
  return agent as BaseAgent;
}

/** Return whether two keys are the same pair. */
export function isSameKey(one: ParsedKey, other: ParsedKey): boolean {
  return one.getPublicSSH().equals(other.getPublicSSH());
}
