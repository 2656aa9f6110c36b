import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { bindSecrets } from "../core/secret.ts";
import { fileReason } from "../core/unix/user-file.ts";
import { readKeyValues } from "../core/values/key-values.ts";
import type { Vars } from "../core/values/vars.ts";
import type { SecretStore } from "../vars/secrets/store.ts";
import { isVault } from "../vars/vault-format.ts";
import { readYaml } from "../yaml/read.ts";
import { readConnection } from "./connection.ts";
import type { Entries, Entry } from "./draft.ts";
import { displayPath, textOf } from "./vars-files.ts";

/** The vars of `--extra-vars`, with the places that set them. */
export interface ExtraVars {
  readonly entries: Entries;
  /** Words that are no `key=value`: Ansible passes over them, and so does Volley, with a warning. */
  readonly warnings: readonly string[];
}

/** The surroundings in which extra vars are read. */
interface ExtraVarsOptions {
  /** Relative paths begin there. */
  readonly cwd: string;
  /** Opens files that are encrypted as a whole. */
  readonly secrets: SecretStore;
}

const OPTION = "--extra-vars";

/**
 * Read vars as `--extra-vars` takes them, each text over those before it: `key=value` words, whose values are text; JSON
 * or YAML that begins with `{`; or `@file` in YAML or JSON, which may be encrypted with Ansible Vault. Vars given as a
 * value are taken as they are. Fails with `USAGE` or `INVENTORY_INVALID`.
 */
export async function readExtraVars(
  given: Vars | readonly string[],
  options: ExtraVarsOptions,
): Promise<ExtraVars> {
  const entries: Entries = new Map();
  const warnings: string[] = [];
  const set = (name: string, entry: Omit<Entry, "directory">): void => {
    const value = bindSecrets(entry.value, options.cwd);
    entries.set(name, { ...entry, value, directory: options.cwd });
  };
  if (!Array.isArray(given)) {
    for (const [name, value] of Object.entries(given)) set(name, { value, source: sourceOf(OPTION) });
    return { entries, warnings };
  }
  for (const text of given as readonly string[]) {
    const start = text.trimStart();
    if (start.startsWith("@")) await readFile(start.slice(1).trimEnd(), options, set);
    else if (/^[{[]/.test(start)) await readText(OPTION, start, undefined, set);
    else if (/^[./]/.test(start))
      throw new VolleyError("USAGE", `${OPTION}: a file is named with @ before it: @${start}`);
    else {
      const { values, rest } = readKeyValues(text, (problem) => {
        throw new VolleyError("USAGE", `${OPTION}: ${problem}`);
      });
      for (const [name, value] of values) set(name, { value, source: sourceOf(OPTION) });
      for (const word of rest) warnings.push(`${OPTION}: ${word} is no key=value, and is left out`);
    }
  }
  return { entries, warnings };
}

/** Set a var; the text of its template begins paths at the working directory. */
type SetVar = (name: string, entry: Omit<Entry, "directory">) => void;

async function readFile(path: string, { cwd, secrets }: ExtraVarsOptions, set: SetVar): Promise<void> {
  const file = displayPath(resolve(cwd, path), cwd);
  let bytes: Buffer;
  try {
    bytes = readFileSync(resolve(cwd, path));
  } catch (cause) {
    throw new VolleyError("USAGE", `${OPTION} @${path} cannot be read: ${fileReason(cause)}`, { cause });
  }
  const text = textOf(bytes, file);
  if (isVault(text)) await readText(file, await secrets.openVaultFile(text, file), `vault:${file}`, set);
  else await readText(file, text, undefined, set);
}

async function readText(
  file: string,
  text: string,
  secretFrom: string | undefined,
  set: SetVar,
): Promise<void> {
  const reader = await readYaml(file, text, secretFrom);
  if (reader.root === null) return;
  const entries = reader.entries(reader.root);
  if (entries === null) {
    throw new VolleyError("USAGE", `${OPTION} takes names with values, not a list or a single value`, {
      location: reader.locate(reader.root),
    });
  }
  for (const { key, value, location } of entries)
    set(key, {
      value: reader.value(value),
      source: sourceOf(file, file === OPTION ? undefined : location.line),
    });
}

function sourceOf(file: string, line?: number): Entry["source"] {
  return { file, ...(line === undefined ? {} : { line }), scope: "extra vars" };
}

/** Set vars on every host of an inventory that was given as a value, with what they say of the connection. */
export function addExtraVars(inventory: Inventory, extra: Entries | undefined): Inventory {
  if (extra === undefined || extra.size === 0) return inventory;
  const values = Object.fromEntries([...extra].map(([name, { value }]) => [name, value]));
  const places = Object.fromEntries([...extra].map(([name, { source }]) => [name, source]));
  const withExtra = (host: Host): Host => {
    const named = readConnection({ host: host.name, vars: extra, playbookDirectory: undefined });
    const { connection: kind, address, refused, ...rest } = named;
    const set = Object.entries(rest).filter(([, value]) => value !== undefined);
    return {
      ...host,
      vars: { ...host.vars, ...values },
      sources: { ...host.sources, ...places },
      connection: {
        ...host.connection,
        ...Object.fromEntries(set),
        ...(extra.has("ansible_connection") ? { connection: kind } : {}),
        ...(refused === undefined ? {} : { refused }),
        ...(address === host.name ? {} : { address }),
      },
    };
  };
  return {
    ...inventory,
    hosts: new Map([...inventory.hosts].map(([name, host]) => [name, withExtra(host)])),
  };
}
