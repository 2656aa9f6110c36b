import { randomBytes } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { printable, VolleyError } from "../core/errors.ts";
import { fileReason } from "../core/unix/user-file.ts";
import { configDirectory } from "../system/own-files.ts";
import { isAge } from "../vars/secrets/age.ts";
import { expandHome } from "../vars/secrets/sources.ts";
import { createSecretStore, type SecretStore } from "../vars/secrets/store.ts";
import type { QueueKey } from "./seal.ts";

// Files of queue keys: a key a line, `#` comments. The first key seals, and each key opens.

/** The places where {@link readQueueKeys} looks for a key file. */
export interface QueueKeyOptions {
  /** The file of `--queue-key`. Default: `$VOLLEY_QUEUE_KEY_FILE`, then `~/.config/volley/queue.key`. */
  readonly file?: string | undefined;
  /** Default: the process's own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Opens a file encrypted with age or Ansible Vault. Default: a store that asks no questions. */
  readonly secrets?: SecretStore;
}

const PREFIX = "volley-queue-key-1:";
const SECRET_BYTES = 32;
const MAX_FILE_BYTES = 1 << 20;
const VAULT = /^\$ANSIBLE_VAULT;/;

/** Make a key: one line of text, without a line end. */
export function makeQueueKey(): string {
  return `${PREFIX}${randomBytes(SECRET_BYTES).toString("base64url")}`;
}

/** Return the file of queue keys that is read where no option names another. */
function defaultQueueKeyFile(env: NodeJS.ProcessEnv = process.env): string {
  return env.VOLLEY_QUEUE_KEY_FILE || join(configDirectory(env), "queue.key");
}

/**
 * Read the keys of a queue, at least one. Fails with `USAGE` for a file that cannot be read, that other users may read, or
 * that has no key or a malformed one, and with `SECRET_FAILED` for one that cannot be decrypted.
 */
export async function readQueueKeys({
  file,
  env = process.env,
  secrets,
}: QueueKeyOptions = {}): Promise<readonly QueueKey[]> {
  if (file === "") throw usage("--queue-key names no file", "volley queue-key -o FILE makes one");
  const path = resolve(expandHome(file ?? defaultQueueKeyFile(env), env));
  const { content, isExposed } = await readKeyFile(path, file !== undefined);
  const text = content.toString("utf8");
  const isEncrypted = isAge(content) || VAULT.test(text);
  if (isExposed && !isEncrypted)
    throw usage(`other users may read the queue key in ${printable(path)}`, `chmod 600 ${printable(path)}`);
  if (!isEncrypted) return parseKeys(text, path);
  const store = secrets ?? createSecretStore({ cwd: process.cwd(), env });
  const opened = isAge(content) ? store.openAgeFile(content, path) : store.openVaultFile(text, path);
  return parseKeys(await opened, path);
}

/** Read the file, bounded, and tell whether users who are not its owner may read it. */
async function readKeyFile(
  path: string,
  isNamed: boolean,
): Promise<{ readonly content: Buffer; readonly isExposed: boolean }> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path);
    const stats = await handle.stat();
    if (stats.size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    // As ssh does with private keys. A file of root's that this user may read, such as a secret that a container gets, has
    // the mode that its owner wants.
    const isExposed = stats.isFile() && stats.uid === process.geteuid?.() && (stats.mode & 0o077) !== 0;
    return { content: await handle.readFile(), isExposed };
  } catch (thrown) {
    const isMissing = (thrown as NodeJS.ErrnoException).code === "ENOENT";
    throw usage(
      `the queue key file ${printable(path)} cannot be read: ${fileReason(thrown)}`,
      isMissing
        ? `"volley queue-key -o FILE" makes one for the controllers and workers of a queue${isNamed ? "" : "; --queue-key FILE names another"}`
        : undefined,
    );
  } finally {
    await handle?.close();
  }
}

/** Messages name the line of a malformed key, and never show the key. */
function parseKeys(text: string, path: string): readonly QueueKey[] {
  const keys = text.split("\n").flatMap((line, index): readonly QueueKey[] => {
    const key = line.trim();
    if (key === "" || key.startsWith("#")) return [];
    const secret = secretOf(key);
    if (secret === undefined)
      throw usage(
        `line ${index + 1} of ${printable(path)} is not a queue key`,
        `a key is ${PREFIX} and 43 more characters on one line, as "volley queue-key" prints it`,
      );
    return [{ secret }];
  });
  if (keys.length === 0)
    throw usage(`${printable(path)} has no queue key`, '"volley queue-key" prints a fresh one');
  return keys;
}

function secretOf(key: string): Buffer | undefined {
  if (!key.startsWith(PREFIX)) return undefined;
  const encoded = key.slice(PREFIX.length);
  const secret = Buffer.from(encoded, "base64url");
  // Buffer passes over characters that are not base64url.
  return secret.length === SECRET_BYTES && secret.toString("base64url") === encoded ? secret : undefined;
}

function usage(message: string, hint: string | undefined): VolleyError {
  return new VolleyError("USAGE", message, hint === undefined ? {} : { hint });
}
