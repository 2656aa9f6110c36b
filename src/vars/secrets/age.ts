import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { Decrypter } from "age-encryption";
import { fileReason } from "../../core/unix/user-file.ts";
import {
  type AskSecret,
  expandHome,
  memoOf,
  SecretProblem,
  type SecretStoreOptions,
  secretText,
} from "./sources.ts";

type Age = typeof import("age-encryption");

const ARMOR = "-----BEGIN AGE ENCRYPTED FILE-----";
const MAGIC = "age-encryption.org/v1\n";
const IDENTITY = /^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+$/;

/** Opens text encrypted with age. Identities are read and passphrases asked for once, when they are first needed. */
export interface AgeKeys {
  /** Return the text in clear; the question for a passphrase names `file`. Fail with a {@link SecretProblem}. */
  open(content: Uint8Array, file: string): Promise<string>;
}

/** Make the keys that the options name. */
export function createAgeKeys(options: SecretStoreOptions, env: NodeJS.ProcessEnv, ask: AskSecret): AgeKeys {
  /** The passphrases that opened a file: the next file is likely to have one of them. */
  const passphrases: string[] = [];

  const openWithPassphrase = async (age: Age, content: Uint8Array, file: string): Promise<string> => {
    for (const passphrase of passphrases) {
      const opened = await attempt(age, content, (decrypter) => decrypter.addPassphrase(passphrase));
      if (opened !== null) return opened;
    }
    const passphrase = await ask(`Passphrase of ${file}: `);
    if (passphrase === null) {
      throw new SecretProblem(
        `nobody answered when asked for the passphrase of ${file}`,
        "run it in a terminal, or encrypt it for a key instead, and give that with --age-identity FILE",
      );
    }
    const opened = await attempt(age, content, (decrypter) => decrypter.addPassphrase(passphrase));
    if (opened === null) throw new SecretProblem(`the passphrase does not open ${file}`);
    passphrases.push(passphrase);
    return opened;
  };

  const identities = memoOf(async (age: Age): Promise<readonly string[]> => {
    const found: string[] = [];
    for (const path of identityFiles(options, env)) {
      const content = await readFile(path).catch((thrown: unknown) => {
        throw new SecretProblem(`the age identity file ${path} cannot be read: ${fileReason(thrown)}`);
      });
      // age-keygen can encrypt its files with a passphrase.
      const text = isAge(content)
        ? await openWithPassphrase(age, dearmor(age, content), path)
        : content.toString("utf8");
      const lines = text.split("\n").map((line) => line.trim());
      const keys = lines.filter((line) => IDENTITY.test(line));
      if (keys.length === 0) {
        const hint = text.includes("PRIVATE KEY-----")
          ? "SSH keys cannot be used; make one with age-keygen"
          : undefined;
        throw new SecretProblem(`the age identity file ${path} holds no AGE-SECRET-KEY-1…`, hint);
      }
      found.push(...keys);
    }
    return found;
  });

  return {
    open: async (content, file) => {
      if (!isAge(content)) throw new SecretProblem("it is not encrypted with age");
      const age = await import("age-encryption");
      const bytes = dearmor(age, content);
      if (Buffer.from(bytes.subarray(0, 200)).toString("latin1").includes("\n-> scrypt ")) {
        return openWithPassphrase(age, bytes, file);
      }
      const keys = await identities(age);
      if (keys.length === 0) {
        throw new SecretProblem(
          "it is encrypted with age and no identity was given",
          "give one with --age-identity FILE, in VOLLEY_AGE_IDENTITY, or in ~/.config/volley/age.key",
        );
      }
      const opened = await attempt(age, bytes, (decrypter) => {
        for (const key of keys) decrypter.addIdentity(key);
      });
      if (opened !== null) return opened;
      throw new SecretProblem(
        "it is encrypted with age, and no identity that was given opens it",
        `tried those of ${identityFiles(options, env).join(", ")}; encrypt it for one of them, or give another with --age-identity FILE`,
      );
    },
  };
}

/** Tell whether content is encrypted with age, armored or not. */
export function isAge(content: Uint8Array): boolean {
  const start = Buffer.from(content.subarray(0, 64)).toString("latin1");
  return start.startsWith(MAGIC) || start.trimStart().startsWith(ARMOR);
}

function dearmor(age: Age, content: Uint8Array): Uint8Array {
  const text = Buffer.from(content).toString("latin1");
  if (text.startsWith(MAGIC)) return content;
  try {
    return age.armor.decode(text.trim());
  } catch (thrown) {
    throw new SecretProblem("it is damaged or cut off", undefined, thrown);
  }
}

async function attempt(
  age: Age,
  content: Uint8Array,
  addKeys: (decrypter: Decrypter) => void,
): Promise<string | null> {
  const decrypter = new age.Decrypter();
  try {
    addKeys(decrypter);
  } catch (thrown) {
    throw new SecretProblem(
      "an age identity that was given is not valid",
      "make one with age-keygen",
      thrown,
    );
  }
  let opened: Uint8Array;
  try {
    opened = await decrypter.decrypt(content, "uint8array");
  } catch (thrown) {
    // The library has no code for a wrong key, only these words.
    if (String(thrown).includes("no identity matched")) return null;
    throw new SecretProblem("it is damaged or cut off", undefined, thrown);
  }
  return secretText(opened, "what it holds");
}

function identityFiles(
  { ageIdentityFiles, cwd }: SecretStoreOptions,
  env: NodeJS.ProcessEnv,
): readonly string[] {
  const named =
    ageIdentityFiles ?? (env.VOLLEY_AGE_IDENTITY || env.SOPS_AGE_KEY_FILE || undefined)?.split(delimiter);
  if (named !== undefined) return named.map((path) => resolve(cwd, expandHome(path, env)));
  const home = env.XDG_CONFIG_HOME || join(env.HOME || homedir(), ".config");
  const own = join(home, "volley", "age.key");
  return existsSync(own) ? [own] : [];
}
