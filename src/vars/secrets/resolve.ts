import type { SourceLocation } from "../../core/errors.ts";
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
import type { SecretStore } from "./store.ts";

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
function textsOf(value: SecretValue): readonly string[] {
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
