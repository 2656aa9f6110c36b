import { printable, type SourceLocation, VolleyError } from "../../core/errors.ts";
import {
  findSecrets,
  mapSecrets,
  type Secret,
  type SecretSource,
  type SecretValue,
  secretLocation,
  secretSource,
} from "../../core/secret.ts";
import { Data } from "../../core/values/value.ts";
import { MIN_SECRET_LENGTH } from "../mask-needles.ts";
import { isTemplate } from "../scope.ts";
import { createAgeKeys } from "./age.ts";
import { type AskSecret, memoOf, readSecret, SecretProblem, type SecretStoreOptions } from "./sources.ts";
import { createVaultKeys } from "./vault.ts";

/** A run's source of secrets: each is asked for once, however many hosts need it. */
export interface SecretStore {
  /** Return a secret's value. Fail with `SECRET_FAILED` and an error that names `what`. */
  value(secret: Secret, what: string, location: SourceLocation | undefined): Promise<SecretValue>;
  /** Return the text of a file encrypted with Ansible Vault. Fail with `SECRET_FAILED`. */
  openVaultFile(text: string, file: string): Promise<string>;
  /** Return the bytes of a file encrypted with Ansible Vault, whatever they are. Fail with `SECRET_FAILED`. */
  openVaultBytes(text: string, file: string): Promise<Buffer>;
  /** Return a value that is encrypted with Ansible Vault. Fail with `SECRET_FAILED` and the place. */
  openVaultValue(text: string, location: SourceLocation): Promise<string>;
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
    openVaultBytes: (text, file) => explain(vault.openBytes(text), "this file cannot be read", { file }),
    openVaultValue: (text, location) => explain(vault.open(text), "this value cannot be read", location),
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

/** The owner of vars, for errors to name. */
export interface VarsOwner {
  /** `host web1`. */
  readonly name: string;
  /** Return the place where a var was set. */
  locate(name: string): SourceLocation | undefined;
}

/** Vars with the values of their secrets, and the texts that must never be shown. */
export interface ResolvedVars {
  readonly vars: Readonly<Record<string, unknown>>;
  /** By var, the texts to mask. */
  readonly secretTexts: Readonly<Record<string, readonly string[]>>;
  /** The vars whose secrets are too short to be masked. */
  readonly tooShort: readonly { readonly name: string; readonly source: SecretSource }[];
}

const TEMPLATE = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\{#[\s\S]*?#\}/;
/** The text around the expressions of a template is masked too, unless it says as little as `https://`. */
const MIN_PIECE_LENGTH = 6;
/** A shorter number is a port or a size, in an encrypted file too. */
const MIN_DIGITS = 6;

/** Return the texts that reveal a value. */
export function textsOf(value: SecretValue): readonly string[] {
  if (value instanceof Data) return [value.text];
  if (typeof value !== "string") return String(value).length < MIN_DIGITS ? [] : [String(value)];
  if (!isTemplate(value)) return [value];
  const pieces = value.split(TEMPLATE).map((piece) => piece.trim());
  return [
    value,
    ...pieces.filter((piece) => piece.length >= MIN_PIECE_LENGTH && !/^[a-z]+:\/\/$/.test(piece)),
  ];
}

/** Get the values of the secrets in vars: ask questions one after another, read the rest at the same time. Fail with `SECRET_FAILED`. */
export async function resolveVars(
  vars: Readonly<Record<string, unknown>>,
  owner: VarsOwner,
  store: SecretStore,
): Promise<ResolvedVars> {
  const asked = Object.entries(vars).flatMap(([name, value]) =>
    findSecrets(value).map((secret) => ({ name, secret, source: secretSource(secret) })),
  );
  if (asked.length === 0) return { vars, secretTexts: {}, tooShort: [] };
  const values = new Map<Secret, SecretValue>();
  const ask = async ({ name, secret }: (typeof asked)[number]): Promise<void> => {
    const location = secretLocation(secret) ?? owner.locate(name);
    const value = await store.value(secret, `${name} of ${owner.name}`, location);
    // As in Ansible, a text in a file that was encrypted as a whole may be a template; a secret by itself never is.
    const isData = isTemplate(value) && secretSource(secret).kind !== "opened";
    values.set(secret, isData ? new Data(value) : value);
  };
  const isQuestion = ({ source }: (typeof asked)[number]): boolean =>
    source.kind === "prompt" || source.kind === "vault";
  const silent = await Promise.allSettled(asked.filter((one) => !isQuestion(one)).map(ask));
  for (const one of silent) if (one.status === "rejected") throw one.reason;
  for (const one of asked.filter(isQuestion)) await ask(one);

  const secretTexts: Record<string, string[]> = {};
  const tooShort: { name: string; source: SecretSource }[] = [];
  for (const { name, secret, source } of asked) {
    const value = values.get(secret)!;
    secretTexts[name] = [...(secretTexts[name] ?? []), ...textsOf(value)];
    if (source.kind !== "opened" && String(value).trim().length < MIN_SECRET_LENGTH)
      tooShort.push({ name, source });
  }
  return {
    vars: Object.fromEntries(
      Object.entries(vars).map(([name, value]) => [
        name,
        mapSecrets(value, (secret) => values.get(secret) ?? null),
      ]),
    ),
    secretTexts,
    tooShort,
  };
}
