import { makeSecret, type SecretValue } from "../../core/secret.ts";
import { Data, mapLeaves } from "../../core/values/value.ts";
import { isTemplate } from "../../vars/scope.ts";
import { type SecretStore, textsOf } from "../../vars/secrets/store.ts";
import type { QueuedPart } from "../messages.ts";

/** A host's work, with the values of the secrets that the controller has left to its worker. */
export interface OpenedPart extends QueuedPart {
  /** The texts of these secrets. */
  readonly own: readonly string[];
}

/** Read the secrets that were left to the worker, and put them in the places that wait for them. Fails with `SECRET_FAILED`. */
export async function openSecrets(part: QueuedPart, store: SecretStore): Promise<OpenedPart> {
  const { secrets } = part;
  if (secrets.length === 0) return { ...part, own: [] };
  const values = new Map<string, SecretValue>();
  for (const { placeholder, source } of secrets) {
    const value = await store.value(makeSecret(source), `a secret of ${part.job.host}`, undefined);
    // As on a controller: a secret by itself is never a template.
    values.set(placeholder, isTemplate(value) ? new Data(value) : value);
  }
  const fill = <T>(value: T): T => mapLeaves(value, (leaf) => filled(leaf, values)) as T;
  const masked = (part.job.secrets ?? []).flatMap((text) => {
    const value = values.get(text);
    return value === undefined ? [String(textOf(filled(text, values)))] : textsOf(value);
  });
  return {
    ...part,
    way: fill(part.way),
    job: { ...fill({ ...part.job, secrets: undefined }), secrets: masked },
    own: [...values.values()].flatMap(textsOf),
  };
}

function filled(leaf: unknown, values: ReadonlyMap<string, SecretValue>): unknown {
  if (typeof leaf !== "string") return leaf;
  const whole = values.get(leaf);
  if (whole !== undefined) return whole;
  let text = leaf;
  for (const [placeholder, value] of values) text = text.replaceAll(placeholder, () => textOf(value));
  return text;
}

function textOf(value: unknown): string {
  return value instanceof Data ? value.text : String(value);
}
