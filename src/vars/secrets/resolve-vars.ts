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
import { Data } from "../../core/value.ts";
import { MIN_SECRET_LENGTH } from "../mask-needles.ts";
import { isTemplate } from "../scope.ts";
import type { SecretStore } from "./store.ts";

/** Whose vars are resolved, for errors to say. */
export interface VarsOwner {
  /** `host web1`. */
  readonly name: string;
  /** Where a var was set. */
  locate(name: string): SourceLocation | undefined;
}

/** Vars with the values of their secrets, and what of them must never be shown. */
export interface ResolvedVars {
  readonly vars: Readonly<Record<string, unknown>>;
  /** By var, the texts to mask. */
  readonly secretTexts: Readonly<Record<string, readonly string[]>>;
  /** The vars whose secrets are too short to be masked, with what they are. */
  readonly tooShort: readonly { readonly name: string; readonly source: SecretSource }[];
}

const TEMPLATE = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\{#[\s\S]*?#\}/;
/** What stands around the expressions of a template is masked too, unless it says as little as `https://`. */
const MIN_PIECE_LENGTH = 6;
/** A shorter number is a port or a size, also in an encrypted file. */
const MIN_DIGITS = 6;

/** The texts that give a value away. */
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

/** Gets the values of the secrets in vars: questions one after another, the rest at the same time. Fails with `SECRET_FAILED`. */
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
    // As in Ansible, text of a file that was encrypted as a whole may be a template; a secret by itself never is one.
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
