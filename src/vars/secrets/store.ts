import { printable, type SourceLocation, VolleyError } from "../../core/errors.ts";
import { type Secret, type SecretSource, type SecretValue, secretSource } from "../../core/secret.ts";

import { createAgeKeys } from "./age.ts";
import { type AskSecret, memoOf, readSecret, SecretProblem, type SecretStoreOptions } from "./sources.ts";
import { createVaultKeys } from "./vault.ts";

/** A run's source of secrets: each is asked for once, however many hosts need it. */
export interface SecretStore {
  /** Return a secret's value. Fail with `SECRET_FAILED` and an error that names `what`. */
  value(secret: Secret, what: string, location: SourceLocation | undefined): Promise<SecretValue>;
  /** Return the text of a file encrypted with Ansible Vault. Fail with `SECRET_FAILED`. */
  openVaultFile(text: string, file: string): Promise<string>;
  /** Return the text of a file encrypted with age. Fail with `SECRET_FAILED`. */
  openAgeFile(content: Uint8Array, file: string): Promise<string>;
}

const PROGRAMS_AT_ONCE = 4;

/** Open a store. Secrets are read or asked for only when they are needed. */
export function createSecretStore(options: SecretStoreOptions): SecretStore {
  const { cwd, signal, env = process.env } = options;
  // Ask one question at a time, and none twice.
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

/** Return the function with at most `limit` calls at work at a time. */
function limited<A, R>(limit: number, work: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  const waiting: (() => void)[] = [];
  let free = limit;
  return async (argument) => {
    if (free > 0) free--;
    else await new Promise<void>((go) => waiting.push(go));
    try {
      return await work(argument);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
