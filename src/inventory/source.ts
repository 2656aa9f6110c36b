import type { Stats } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { isVolleyError, VolleyError } from "../core/errors.ts";
import { dictEntries, isDict, parseJson } from "../core/values/value.ts";

import type { SecretStore } from "../vars/secrets/store.ts";
import { isVault } from "../vars/secrets/vault.ts";
import { addHosts, type Draft, type ReadContext } from "./draft.ts";
import { displayPath, isLeftover, textOf, unreadableKind } from "./files.ts";
import { readIniInventory } from "./ini.ts";
import { readInventoryJson, readScriptInventory } from "./script.ts";
import { readTypeScriptInventory } from "./typescript.ts";
import { readYamlInventory } from "./yaml.ts";

/** The surroundings in which inventories are read. */
export interface SourceOptions {
  /** An absolute path; relative paths begin there. */
  readonly cwd: string;
  /** Compile and import a TypeScript or JavaScript inventory; return its default export. */
  readonly loadModule: (file: string) => Promise<unknown>;
  readonly signal?: AbortSignal;
  /** Opens encrypted files. Default: without questions, with passwords from the places that the environment names. */
  readonly secrets?: SecretStore;
}

const MODULE_EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];
const IGNORED_NAMES = new Set([
  "group_vars",
  "host_vars",
  "vars_plugins",
  "node_modules",
  "README",
  "LICENSE",
  "Makefile",
]);
const IGNORED_EXTENSIONS = [".md", ".txt", ".rst", ".cfg", ".d.ts"];
const YAML_LINE = /^\ufeff?(?:---|%YAML|\{|(?:"[^"]+"|'[^']+'|[^\s:[\]]+):(?:\s|$))/;

function isIgnored(name: string): boolean {
  return isLeftover(name) || IGNORED_NAMES.has(name) || IGNORED_EXTENSIONS.some((end) => name.endsWith(end));
}

function firstLine(text: string): string {
  return (
    text
      .split("\n")
      .find((line) => line.trim() !== "" && !/^\s*[#;]/.test(line))
      ?.trimEnd() ?? ""
  );
}

function startsLikeProgram(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 4);
  return start.startsWith("#!") || start === "\x7fELF";
}

/** Read the first bytes of a file, which may be a large program. */
async function readStart(path: string): Promise<Buffer> {
  const handle = await open(path, "r");
  try {
    return (await handle.read(Buffer.alloc(4), 0, 4, 0)).buffer;
  } finally {
    await handle.close();
  }
}

async function importModule(path: string, file: string, options: SourceOptions): Promise<unknown> {
  try {
    return await options.loadModule(path);
  } catch (cause) {
    if (isVolleyError(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VolleyError("INVENTORY_INVALID", `it cannot be loaded: ${reason}`, {
      cause,
      location: { file },
    });
  }
}

async function readFileInventory(
  context: ReadContext,
  path: string,
  stats: Stats,
  options: SourceOptions,
): Promise<void> {
  const { file } = context;
  const extension = extname(path);
  if (MODULE_EXTENSIONS.includes(extension)) {
    return readTypeScriptInventory(context, await importModule(path, file, options));
  }
  const isYaml = extension === ".yml" || extension === ".yaml";
  // A pipe such as `<(command)` can be read only once.
  const piped = stats.isFile() ? undefined : await readFile(path);
  if (!isYaml && startsLikeProgram(piped ?? (await readStart(path)))) {
    if (piped !== undefined) {
      throw new VolleyError("INVENTORY_INVALID", `a program that is to print an inventory must be a file`, {
        location: { file },
      });
    }
    if ((stats.mode & 0o111) === 0) {
      throw new VolleyError("INVENTORY_INVALID", `the inventory script ${file} is not executable`, {
        location: { file },
        hint: `Run: chmod +x ${file}`,
      });
    }
    const { cwd, signal } = options;
    return readScriptInventory(context, { path, cwd, ...(signal === undefined ? {} : { signal }) });
  }
  const text = textOf(piped ?? (await readFile(path)), file);
  if (extension === ".toml") {
    throw new VolleyError(
      "INVENTORY_INVALID",
      "TOML inventories are not supported; write YAML, INI or TypeScript",
      {
        location: { file },
      },
    );
  }
  if (isVault(text) && options.secrets !== undefined) {
    return readYamlInventory(context, await options.secrets.openVaultFile(text, file), `vault:${file}`);
  }
  if (isYaml) return readYamlInventory(context, text);
  if (extension === ".json") return readJson(context, text);
  if (YAML_LINE.test(firstLine(text))) return readYamlInventory(context, text);
  return readIniInventory(context, text);
}

/** Read a `.json` file: groups, as YAML has them, or the output of an inventory script, which has `_meta`. */
async function readJson(context: ReadContext, text: string): Promise<void> {
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch {
    // It is read as YAML below, whose errors name the line.
  }
  if (isDict(parsed) && dictEntries(parsed).some(([key]) => key === "_meta"))
    readInventoryJson(context, parsed);
  else await readYamlInventory(context, text);
}

function readHostList(draft: Draft, written: string, cwd: string): void {
  const context: ReadContext = { draft, file: written, directory: cwd };
  const all = draft.groups.get("all")!;
  for (const host of written.split(/,(?![^[\]]*\])/).map((name) => name.trim())) {
    if (host !== "") addHosts(context, all, host, { file: written });
  }
}

async function readPath(
  draft: Draft,
  path: string,
  directory: string,
  options: SourceOptions,
): Promise<void> {
  const stats = await stat(path);
  if (!stats.isDirectory()) {
    const context: ReadContext = { draft, file: displayPath(path, options.cwd), directory };
    return readFileInventory(context, path, stats, options);
  }
  for (const name of (await readdir(path)).sort()) {
    if (isIgnored(name)) continue;
    const inner = join(path, name);
    const innerStats = await stat(inner);
    const kind = innerStats.isDirectory() ? undefined : unreadableKind(innerStats);
    if (kind !== undefined) {
      const file = displayPath(inner, options.cwd);
      throw new VolleyError("INVENTORY_INVALID", `${file} is ${kind}, where an inventory is looked for`, {
        location: { file },
        hint: "remove it, or name the inventories one by one with -i",
      });
    }
    await readPath(draft, inner, directory, options);
  }
}

/**
 * Add one inventory to a draft: a file, a directory of files in name order, or a comma list of hosts. Return the
 * directory of its `group_vars` and `host_vars`; null for a list. Fail with `INVENTORY_MISSING` or `INVENTORY_INVALID`.
 */
export async function readSource(
  draft: Draft,
  written: string,
  options: SourceOptions,
): Promise<string | null> {
  const path = resolve(options.cwd, written);
  const stats = await stat(path).catch(() => null);
  if (stats === null && written.includes(",")) {
    readHostList(draft, written, options.cwd);
    return null;
  }
  if (stats === null) {
    const hint = /^[\w.-]+$/.test(written)
      ? `To name a host instead of a file, end it with a comma: -i '${basename(written)},'`
      : undefined;
    throw new VolleyError(
      "INVENTORY_MISSING",
      `there is no inventory at ${written}`,
      hint === undefined ? {} : { hint },
    );
  }
  const directory = stats.isDirectory() ? path : dirname(path);
  try {
    await readPath(draft, path, directory, options);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== "EACCES" && code !== "EPERM") throw thrown;
    throw new VolleyError("INVENTORY_INVALID", `${written} cannot be read: permission denied`, {
      cause: thrown,
    });
  }
  return directory;
}
