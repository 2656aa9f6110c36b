import { type SourceLocation, VolleyError } from "../core/errors.ts";
import { isSecret, makeSecret, parseSecret } from "../core/secret.ts";
import { Data, mapLeaves } from "../core/values/value.ts";
import type { TaggedNode, YamlDialect, YamlReader } from "./document.ts";
import { readSimpleYaml } from "./simple.ts";

/**
 * Read the YAML of an inventory or a vars file, as Ansible does: `!unsafe` is data; `!secret` and `!vault` are stand-ins
 * of secrets. `secretFrom` names the origin of a text that was encrypted as a whole: each value in it is then a secret.
 * Fail with `INVENTORY_INVALID`, line and column.
 */
export async function readYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  const simple = secretFrom === undefined ? readSimpleYaml(file, text) : null;
  return simple ?? (await parseYaml(file, text, secretFrom));
}

/** Read YAML by the parser alone, which is loaded on the first call: see {@link readYaml}. */
export async function parseYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  const { parseYamlDocument } = await import("./document.ts");
  return parseYamlDocument(text, file, dialectFor(secretFrom));
}

function dialectFor(secretFrom: string | undefined): YamlDialect {
  const dialect = { code: "INVENTORY_INVALID", tagged } as const;
  if (secretFrom === undefined) return dialect;
  return {
    ...dialect,
    scalar: (value, location) =>
      // Of an encrypted file, texts and numbers are secrets; an empty text, a boolean or null says nothing.
      value === null || value === "" || typeof value === "boolean" || isSecret(value)
        ? value
        : makeSecret({ kind: "opened", from: secretFrom, value: value as string | number }, { location }),
  };
}

function tagged({ tag, text, isKey, location, value }: TaggedNode): unknown {
  switch (tag) {
    case "!unsafe":
      return isKey ? text : mapLeaves(text ?? value(), asData);
    case "!vault":
    case "!vault-encrypted":
      if (text === undefined) return undefined;
      return isKey ? refuseKey(location) : makeSecret({ kind: "vault", text }, { location });
    case "!secret":
      return isKey ? refuseKey(location) : parseSecret(text ?? value(), location);
    default:
      return undefined;
  }
}

function asData(leaf: unknown): unknown {
  return typeof leaf === "string" ? new Data(leaf) : leaf;
}

function refuseKey(location: SourceLocation): never {
  throw new VolleyError("INVENTORY_INVALID", "a key cannot be a secret", { location });
}
