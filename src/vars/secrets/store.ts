import { type SourceLocation, VolleyError } from "../../core/errors.ts";
import { type Secret, type SecretSource, type SecretValue, secretSource } from "../../core/secret.ts";
import { printable } from "../../core/text.ts";
import { createAgeKeys } from "./age.ts";
import {
  type AskSecret,
  limited,
  memoOf,
  readSecret,
  SecretProblem,
  type SecretStoreOptions,
} from "./sources.ts";

import { createVaultKeys } from "./vault.ts";

/** Where a run has its secrets from: each is asked for once, however many hosts need it. */
export interface SecretStore {
  /** A secret's value. Fails with `SECRET_FAILED`, saying that it is `what` that cannot be had. */
  value(secret: Secret, what: string, location: SourceLocation | undefined): Promise<SecretValue>;
  /** The text of a file encrypted with Ansible Vault. Fails with `SECRET_FAILED`. */
  openVaultFile(text: string, file: string): Promise<string>;
  /** The text of a file encrypted with age. Fails with `SECRET_FAILED`. */
  openAgeFile(content: Uint8Array, file: string): Promise<string>;
}

const PROGRAMS_AT_ONCE = 4;

/** Opens a store; nothing is read or asked for before it is needed. */
export function createSecretStore(options: SecretStoreOptions): SecretStore {
  const { cwd, signal, env = process.env } = options;
  // One question at a time, and none twice.
  const askOnce: AskSecret = memoOf(limited(1, options.ask ?? (async () => null)));
  const vault = createVaultKeys(options, env, askOnce);
  const age = createAgeKeys(options, env, askOnce);
  const read = limited(PROGRAMS_AT_ONCE, (source: SecretSource): Promise<SecretValue> => {
    switch (source.kind) {
      case "opened":
        return Promise.resolve(source.value);
      case "vault":
        return vault.open(source.text);
      default:
        return readSecret(source, { cwd, env, ask: askOnce, signal });
    }
  });
  const sources = new Map<string, SecretSource>();
  const readOnce = memoOf((key: string) => read(sources.get(key)!));
  return {
    value: (secret, what, location) => {
      const source = secretSource(secret);
      if (source.kind === "opened") return Promise.resolve(source.value);
      const key = JSON.stringify(source);
      sources.set(key, source);
      return explain(readOnce(key), `${what} cannot be had`, location);
    },
    openVaultFile: (text, file) => explain(vault.open(text), "this file cannot be read", { file }),
    openAgeFile: (content, file) => explain(age.open(content, file), "this file cannot be read", { file }),
  };
}

async function explain<T>(
  work: Promise<T>,
  failure: string,
  location: SourceLocation | undefined,
): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (!(thrown instanceof SecretProblem)) throw thrown;
    throw new VolleyError("SECRET_FAILED", `${printable(failure)}: ${printable(thrown.message)}`, {
      ...(location === undefined ? {} : { location }),
      ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    });
  }
}
