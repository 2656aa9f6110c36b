import { createDecipheriv, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { access, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { promisify } from "node:util";
import { parseVault, VAULT_KEY_BYTES, type VaultEnvelope } from "../vault-format.ts";
import {
  type AskSecret,
  expandHome,
  memoOf,
  readText,
  runProgram,
  SecretProblem,
  type SecretStoreOptions,
  secretText,
} from "./sources.ts";

interface PasswordSource {
  readonly label: string;
  /** `prompt`, or a file. */
  readonly from: string;
}

/** Opens text encrypted with Ansible Vault. Each password is read or asked for once, when it is first needed. */
interface VaultKeys {
  /** Return the text in clear. Fail with a {@link SecretProblem}. */
  open(text: string): Promise<string>;
  /** Return the bytes in clear, which may be no text. Fail as `open` does. */
  openBytes(text: string): Promise<Buffer>;
}

const DEFAULT_LABEL = "default";
const PROMPTS = ["prompt", "prompt_ask_vault_pass"];

function passwordSources(options: SecretStoreOptions, env: NodeJS.ProcessEnv): readonly PasswordSource[] {
  const { vaultIds = [], vaultPasswordFiles = [], askVaultPassword = false } = options;
  const sources = vaultIds.map((id): PasswordSource => {
    const at = id.indexOf("@");
    return at < 0
      ? { label: DEFAULT_LABEL, from: id }
      : { label: id.slice(0, at) || DEFAULT_LABEL, from: id.slice(at + 1) };
  });
  for (const from of vaultPasswordFiles) sources.push({ label: DEFAULT_LABEL, from });
  const fromEnvironment = env.ANSIBLE_VAULT_PASSWORD_FILE;
  if (fromEnvironment) sources.push({ label: DEFAULT_LABEL, from: fromEnvironment });
  if (askVaultPassword) sources.push({ label: DEFAULT_LABEL, from: "prompt" });
  return sources;
}

/** Make the keys that the options name. */
export function createVaultKeys(
  options: SecretStoreOptions,
  env: NodeJS.ProcessEnv,
  ask: AskSecret,
): VaultKeys {
  const sources = passwordSources(options, env);
  const passwordOf = memoOf((source: PasswordSource) => readPassword(source, options, env, ask));
  const openBytes = async (text: string): Promise<Buffer> => {
    const envelope = parseVault(text);
    if (typeof envelope === "string") throw new SecretProblem(envelope);
    const { label } = envelope;
    const id = label === null ? "" : ` for the vault id ${label}`;
    if (sources.length === 0) {
      throw new SecretProblem(
        `it is encrypted with Ansible Vault${id} and no password was given`,
        `give one with ${label === null ? "" : `--vault-id ${label}@FILE, `}--vault-password-file FILE or --ask-vault-pass`,
      );
    }
    // In Ansible the label is a hint: its password is tried first, then the others.
    const rank = (source: PasswordSource): number => (source.label === label ? 0 : 1);
    for (const source of sources.toSorted((a, b) => rank(a) - rank(b))) {
      const opened = await openVault(envelope, await passwordOf(source));
      if (opened !== null) return opened;
    }
    const tried = sources.map((source) =>
      PROMPTS.includes(source.from) ? "the one asked for" : source.from,
    );
    throw new SecretProblem(
      `it is encrypted with Ansible Vault${id}, and no password that was given opens it`,
      `tried: ${[...new Set(tried)].join(", ")}`,
    );
  };
  return { openBytes, open: async (text) => secretText(await openBytes(text), "what it holds") };
}

async function readPassword(
  { label, from }: PasswordSource,
  { cwd, signal }: SecretStoreOptions,
  env: NodeJS.ProcessEnv,
  ask: AskSecret,
): Promise<string> {
  const password = PROMPTS.includes(from)
    ? await ask(label === DEFAULT_LABEL ? "Vault password: " : `Vault password (${label}): `)
    : await readPasswordFile(resolve(cwd, expandHome(from, env)), { label, shown: from, cwd, env, signal });
  if (password === null) {
    throw new SecretProblem(
      "nobody answered when asked for the vault password",
      "run it in a terminal, or give it with --vault-password-file FILE",
    );
  }
  if (password === "") throw new SecretProblem(`the vault password from ${from} is empty`);
  return password;
}

interface PasswordFile {
  readonly label: string;
  readonly shown: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
}

async function readPasswordFile(path: string, { label, shown, ...how }: PasswordFile): Promise<string> {
  const found: Stats | null = await stat(path).catch(() => null);
  const executable = await access(path, constants.X_OK).then(
    () => found?.isFile() === true && (found.mode & 0o111) !== 0,
    () => false,
  );
  if (!executable) return (await readText(path, shown)).trim();
  // Ansible's protocol for programs that hold several passwords.
  const args = /-client(?:\.[^.]+)?$/.test(basename(path)) ? ["--vault-id", label] : [];
  return (await runProgram([path, ...args], how)).trim();
}

const ITERATIONS = 10_000;
const IV_BYTES = 16;
const BLOCK_BYTES = 16;

const deriveBytes = promisify(pbkdf2);

/** Decrypt with a password; null for a wrong one. */
export async function openVault(envelope: VaultEnvelope, password: string): Promise<Buffer | null> {
  const { salt, mac, ciphertext } = envelope;
  const derived = await deriveBytes(password, salt, ITERATIONS, 2 * VAULT_KEY_BYTES + IV_BYTES, "sha256");
  const [cipherKey, macKey] = [
    derived.subarray(0, VAULT_KEY_BYTES),
    derived.subarray(VAULT_KEY_BYTES, 2 * VAULT_KEY_BYTES),
  ];
  const expected = createHmac("sha256", macKey).update(ciphertext).digest();
  if (!timingSafeEqual(expected, mac)) return null;
  const decipher = createDecipheriv("aes-256-ctr", cipherKey, derived.subarray(2 * VAULT_KEY_BYTES));
  const padded = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  // PKCS#7 (RFC 5652, 6.3).
  const padding = padded.at(-1) ?? 0;
  return padding >= 1 && padding <= BLOCK_BYTES ? padded.subarray(0, -padding) : padded;
}
