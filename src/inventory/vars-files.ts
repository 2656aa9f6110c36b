import { readdirSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import { bindSecrets } from "../core/secret.ts";
import { decodeUtf8, fileReason } from "../core/unix/user-file.ts";
import type { SecretStore } from "../vars/secrets/store.ts";
import { isVault } from "../vars/vault-format.ts";
import { readYaml } from "../yaml/read.ts";
import { type Entries, groupScope } from "./draft.ts";

const AGE = ".age";
const EXTENSIONS = ["", ".yml.age", ".yaml.age", ".json.age", ".yml", ".yaml", ".json", AGE];

/** The `group_vars` and `host_vars` of one directory, by group and host name. */
export interface VarsFiles {
  readonly groups: ReadonlyMap<string, Entries>;
  readonly hosts: ReadonlyMap<string, Entries>;
  /** The reasons why files could not be decrypted, by the scope of their group or host. */
  readonly locked: ReadonlyMap<string, readonly VolleyError[]>;
}

/** The names to look for, and the means to read their files. */
export interface VarsFilesOptions {
  readonly groups: ReadonlySet<string>;
  readonly hosts: ReadonlySet<string>;
  readonly cwd: string;
  readonly secrets: SecretStore;
  /** Tell whether encrypted files of a scope are opened. */
  isConcerned(scope: string): boolean;
}

// Files are read synchronously: a fleet has a small file for each host, and a trip through Node's thread pool costs
// several times the reading.

function attempt<T>(path: string, cwd: string, operation: () => T, missing?: T): T {
  try {
    return operation();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (missing !== undefined && (code === "ENOENT" || code === "ENOTDIR")) return missing;
    // The directory listed the file, so that a file that is not there is a link.
    const reason = code === "ENOENT" ? "the link leads nowhere" : fileReason(cause);
    const file = displayPath(path, cwd);
    throw new VolleyError("INVENTORY_INVALID", `${file} cannot be read: ${reason}`, {
      cause,
      location: { file },
    });
  }
}

function listDirectory(path: string, cwd: string): readonly string[] {
  return attempt(
    path,
    cwd,
    () =>
      readdirSync(path)
        .filter((name) => !isLeftover(name))
        .sort(),
    [],
  );
}

function extensionOf(name: string): string {
  return EXTENSIONS.find((extension) => extension !== "" && name.endsWith(extension)) ?? "";
}

function filesBelow(path: string, cwd: string): readonly string[] {
  const stats = attempt(path, cwd, () => statSync(path));
  if (!stats.isDirectory()) {
    const kind = unreadableKind(stats);
    if (kind === undefined) return [path];
    const file = displayPath(path, cwd);
    throw new VolleyError("INVENTORY_INVALID", `${file} is ${kind}, where a vars file is looked for`, {
      location: { file },
      hint: "remove it, or give it another name",
    });
  }
  const names = listDirectory(path, cwd);
  const wanted = names.filter((name) => extensionOf(name) !== "" || !name.includes("."));
  return wanted.flatMap((name) => filesBelow(join(path, name), cwd));
}

/** Return a vars file's text, decrypted if it is encrypted. */
async function readText(
  path: string,
  scope: string,
  { cwd, secrets, isConcerned }: VarsFilesOptions,
): Promise<{ readonly text: string; readonly secretFrom?: string }> {
  const file = displayPath(path, cwd);
  const content = attempt(path, cwd, () => readFileSync(path));
  const isAge = path.endsWith(AGE);
  const text = isAge ? "" : textOf(content, file);
  if (!isAge && !isVault(text)) return { text };
  if (!isConcerned(scope)) {
    throw new VolleyError("SECRET_FAILED", "this file was not opened: its hosts take no part", {
      location: { file },
    });
  }
  if (isAge) return { text: await secrets.openAgeFile(content, file), secretFrom: `age:${file}` };
  return { text: await secrets.openVaultFile(text, file), secretFrom: `vault:${file}` };
}

interface VarsPlace {
  readonly scope: string;
  readonly directory: string;
}

async function readVarsFile(
  path: string,
  { scope, directory }: VarsPlace,
  options: VarsFilesOptions,
  into: Entries,
): Promise<void> {
  const file = displayPath(path, options.cwd);
  const { text, secretFrom } = await readText(path, scope, options);
  const reader = await readYaml(file, text, secretFrom);
  if (reader.root === null) return;
  const entries = reader.entries(reader.root);
  if (entries === null) {
    const location = reader.locate(reader.root);
    throw new VolleyError("INVENTORY_INVALID", "a vars file must be a mapping of names to values", {
      location,
    });
  }
  for (const { key, value, location } of entries) {
    const source = { file, ...(location.line === undefined ? {} : { line: location.line }), scope };
    into.set(key, { value: bindSecrets(reader.value(value), directory), source, directory });
  }
}

/** Return the files of each wanted name in the order of reading: a file encrypted with age wins over the clear one beside it. */
function findFiles(
  directory: string,
  kind: "group_vars" | "host_vars",
  wanted: ReadonlySet<string>,
  cwd: string,
): ReadonlyMap<string, readonly string[]> {
  const plain = new Map<string, string>();
  const encrypted = new Map<string, string>();
  for (const name of listDirectory(join(directory, kind), cwd)) {
    const extension = extensionOf(name);
    const bare = wanted.has(name) ? name : name.slice(0, name.length - extension.length);
    if (!wanted.has(bare)) continue;
    const path = join(directory, kind, name);
    const found = bare !== name && extension.endsWith(AGE) ? encrypted : plain;
    const other = found.get(bare);
    if (other !== undefined) {
      const [first, second] = [displayPath(other, cwd), displayPath(path, cwd)];
      const message = `${first} and ${second} both hold the vars of ${bare}, and Ansible reads only one of them`;
      throw new VolleyError("INVENTORY_INVALID", message, {
        location: { file: second },
        hint: `Put both into the directory ${join(displayPath(directory, cwd), kind, bare)}.`,
      });
    }
    found.set(bare, path);
  }
  const names = new Set([...plain.keys(), ...encrypted.keys()]);
  return new Map(
    [...names].map((name) => [
      name,
      [plain.get(name), encrypted.get(name)].filter((path) => path !== undefined),
    ]),
  );
}

/**
 * Read the `group_vars` and `host_vars` of a directory for these groups and hosts: `NAME`, `NAME.yml`, `.yaml` or
 * `.json`, or a directory `NAME` of such files, merged in name order. A file may be encrypted as a whole with Ansible
 * Vault, or with age if its name ends in `.age`; a file that cannot be decrypted locks only the group or host it belongs
 * to. Fail with `INVENTORY_INVALID`.
 */
export async function readVarsFiles(directory: string, options: VarsFilesOptions): Promise<VarsFiles> {
  const locked = new Map<string, VolleyError[]>();
  const readKind = async (
    kind: "group_vars" | "host_vars",
    wanted: ReadonlySet<string>,
  ): Promise<ReadonlyMap<string, Entries>> => {
    const read = new Map<string, Entries>();
    for (const [name, paths] of findFiles(directory, kind, wanted, options.cwd)) {
      const entries: Entries = new Map();
      const scope = kind === "host_vars" ? `host ${name}` : groupScope(name);
      for (const file of paths.flatMap((path) => filesBelow(path, options.cwd))) {
        try {
          await readVarsFile(file, { scope, directory }, options, entries);
        } catch (thrown) {
          if (!isVolleyError(thrown) || thrown.code !== "SECRET_FAILED") throw thrown;
          locked.set(scope, [...(locked.get(scope) ?? []), thrown]);
        }
      }
      read.set(name, entries);
    }
    return read;
  };
  return {
    groups: await readKind("group_vars", options.groups),
    hosts: await readKind("host_vars", options.hosts),
    locked,
  };
}

/** Return the names of the `group_vars` of a directory. */
export function groupsOfFiles(directory: string, cwd: string): readonly string[] {
  return listDirectory(join(directory, "group_vars"), cwd).map((name) =>
    name.slice(0, name.length - extensionOf(name).length),
  );
}

/** Return the path to show people: relative to the working directory for a path below it, otherwise unchanged. */
export function displayPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  if (below === "") return ".";
  return below === ".." || below.startsWith("../") || isAbsolute(below) ? path : below;
}

/** Decode an inventory or vars file. Fail with `INVENTORY_INVALID` and the line for bytes that are not UTF-8. */
export function textOf(bytes: Uint8Array, file: string): string {
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return decoded.text;
  throw new VolleyError("INVENTORY_INVALID", "this is not UTF-8", {
    location: { file, line: decoded.line },
    hint: "write the file anew as UTF-8; from Latin-1: iconv -f latin1 -t utf8",
  });
}

/** Name the kind of a file that must not be read: nobody may write into a pipe, and a device may have no end. Undefined for a regular file and /dev/null. */
export function unreadableKind(stats: {
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  readonly rdev: number;
}): string | undefined {
  if (stats.isFile() || stats.rdev === NULL_DEVICE) return undefined;
  return stats.isFIFO() ? "a named pipe" : stats.isSocket() ? "a socket" : "a device";
}

/** The device number of /dev/null, to which people link a file that is to be empty. */
const NULL_DEVICE = 0x103;

/** Tell whether a file's name marks it as hidden, a backup, or an editor's. */
export function isLeftover(name: string): boolean {
  return /^[.#]|~$|\.(?:orig|bak|swp|retry|rej|pyc|pyo)$/.test(name);
}
