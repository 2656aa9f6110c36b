import { execFile } from "node:child_process";
import type { Stats } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { didYouMean, isVolleyError, type SourceLocation, VolleyError } from "../core/errors.ts";
import { makeSecret } from "../core/secret.ts";
import { commandLine } from "../core/unix/shell.ts";
import { Data, type Dict, dictEntries, isDict, isRecord, makeDict, parseJson } from "../core/values/value.ts";
import { MACHINE_NAMES } from "../patterns/names.ts";
import type { SecretStore } from "../vars/secrets/store.ts";
import { isVault } from "../vars/vault-format.ts";
import {
  addChild,
  addHosts,
  type Draft,
  declareGroup,
  type Entries,
  entry,
  groupScope,
  invalid,
  type ReadContext,
  setGroupVar,
} from "./draft.ts";
import { readIniInventory } from "./ini.ts";
import { keepNames } from "./kept-names.ts";
import { readTypeScriptInventory } from "./typescript.ts";
import { displayPath, isLeftover, textOf, unreadableKind } from "./vars-files.ts";
import { readYamlInventory } from "./yaml.ts";

/** The surroundings in which inventories are read. */
export interface SourceOptions {
  /** An absolute path; relative paths begin there. */
  readonly cwd: string;
  /** Compile and import a TypeScript or JavaScript inventory; return its default export. */
  readonly loadModule: (file: string) => Promise<unknown>;
  readonly signal?: AbortSignal;
  /** Vars that win over all others, on every host. */
  readonly extraVars?: Entries;
  /** True to leave out of directories what Ansible leaves out, `.ini` files too. */
  readonly asAnsible?: boolean;
  /** Called for programs that would print an inventory, which are then not run; returns what stands for their output. */
  readonly onProgram?: (path: string) => Dict | undefined;
  /** Told of a source that Ansible goes on without. */
  readonly passedOver?: (why: string) => void;
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

/**
 * Add one inventory to a draft: a file, a directory of files in name order, or a comma list of hosts. Return the
 * directory of its `group_vars` and `host_vars`; null for a list. Fail with `INVENTORY_MISSING` or `INVENTORY_INVALID`.
 */
export async function readSource(
  draft: Draft,
  written: string,
  options: SourceOptions,
): Promise<string | null> {
  if (written === "")
    // As a path this would be the current directory, with all that lies in it.
    throw new VolleyError("INVENTORY_MISSING", "the path of the inventory is empty", {
      hint: "name a file, a directory, or host names with a comma: 'web1,web2,'",
    });
  const path = resolve(options.cwd, written);
  const stats = await stat(path).catch(() => null);
  if (stats === null && written.includes(",")) {
    readHostList(draft, written, options.cwd);
    return null;
  }
  // Ansible goes on without a source it cannot find; of its many names this one is in use.
  if (stats === null && MACHINE_NAMES.includes(written)) return null;
  if (stats === null && options.asAnsible === true) {
    options.passedOver?.(`there is no inventory at ${written}`);
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
    if (options.asAnsible === true && isVolleyError(thrown) && thrown.code === "INVENTORY_INVALID") {
      options.passedOver?.(`${written} is passed over: ${thrown.message}`);
      return directory;
    }
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== "EACCES" && code !== "EPERM") throw thrown;
    throw new VolleyError("INVENTORY_INVALID", `${written} cannot be read: permission denied`, {
      cause: thrown,
    });
  }
  return directory;
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
    if (isIgnored(name) || (options.asAnsible === true && name.endsWith(".ini"))) continue;
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

function isIgnored(name: string): boolean {
  return isLeftover(name) || IGNORED_NAMES.has(name) || IGNORED_EXTENSIONS.some((end) => name.endsWith(end));
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
    if (options.onProgram === undefined) return readScriptInventory(context, path, options);
    const listing = options.onProgram(path);
    if (listing !== undefined) readInventoryJson(context, listing);
    return;
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
  if (isYaml) return readYamlInventory(context, text, undefined, options.extraVars);
  if (extension === ".json") return readJson(context, text);
  if (YAML_LINE.test(firstLine(text))) return readYamlInventory(context, text);
  return readIniInventory(context, text);
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

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;
const HOSTS_ASKED_AT_ONCE = 4;
/** The limit for the nesting of a var. */
const MAX_DEPTH = 100;
const GROUP_KEYS = ["hosts", "children", "vars"];

/**
 * Run an executable inventory with `--list` and read its JSON into a draft. Without `_meta` it is run with `--host` for
 * each host, as in Ansible's older protocol. A run has 60 s. Fail with `INVENTORY_INVALID`.
 */
async function readScriptInventory(
  context: ReadContext,
  path: string,
  options: SourceOptions,
): Promise<void> {
  const { file } = context;
  const listing = parseListing(
    await runScript(path, file, ["--list"], options),
    file,
    `the output of ${file} --list`,
  );
  const before = new Set(context.draft.hosts.keys());
  readInventoryJson(context, listing);
  keepNames(path, listing);
  if (dictEntries(listing).some(([key]) => key === "_meta")) return;
  const pending = [...context.draft.hosts.keys()].filter((host) => !before.has(host));
  const ask = async (): Promise<void> => {
    for (let host = pending.shift(); host !== undefined; host = pending.shift()) {
      const text = await runScript(path, file, ["--host", host], options);
      readHostVars(
        context,
        host,
        text.trim() === "" ? {} : parseListing(text, file, `the output of ${file} --host ${host}`),
      );
    }
  };
  await Promise.all(Array.from({ length: HOSTS_ASKED_AT_ONCE }, ask));
}

function runScript(
  path: string,
  file: string,
  args: readonly string[],
  { cwd, signal }: SourceOptions,
): Promise<string> {
  const command = commandLine([file, ...args]);
  return new Promise((resolve, reject) => {
    const limits = {
      cwd,
      timeout: TIMEOUT_MS,
      maxBuffer: MAX_OUTPUT_BYTES,
      encoding: "buffer" as const,
      ...(signal === undefined ? {} : { signal }),
    };
    execFile(path, [...args], limits, (error, stdout, stderr) => {
      if (error === null) {
        try {
          return resolve(textOf(stdout, command));
        } catch (thrown) {
          return reject(thrown);
        }
      }
      if (signal?.aborted === true) {
        return reject(new VolleyError("CANCELLED", `${command} was cancelled`, { cause: error }));
      }
      const said = stderr.toString("utf8").trim().split("\n").slice(-5).join("\n");
      const hint = said === "" ? {} : { hint: `It said: ${said}` };
      const ended =
        typeof error.code === "number" ? `exited with code ${error.code}` : `could not be run: ${error.code}`;
      const reason = error.killed === true ? `gave no answer within ${TIMEOUT_MS / 1000} s` : ended;
      reject(invalid(`the inventory script ${command} ${reason}`, { file }, { ...hint, cause: error }));
    });
  });
}

function parseListing(text: string, file: string, what: string): Dict {
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch (cause) {
    const begins = text.trim() === "" ? "nothing" : JSON.stringify(text.trim().slice(0, 60));
    throw invalid(`${what} must be JSON, but is ${begins}`, { file }, { cause });
  }
  if (!isDict(parsed)) throw invalid(`${what} must be a JSON object`, { file });
  return parsed;
}

/** Read the output of `--list` into a draft. Fail with `INVENTORY_INVALID`. */
function readInventoryJson(context: ReadContext, listing: Dict): void {
  const { draft, file } = context;
  const location: SourceLocation = { file };
  const sections = new Map(dictEntries(listing).map(([name, body]) => [String(name), body]));
  for (const [name, body] of sections) {
    if (name === "_meta") continue;
    const group = declareGroup(draft, name, location);
    const parts = Array.isArray(body) ? { hosts: body } : (body ?? {});
    if (!isRecord(parts)) throw invalid(`group ${name} must be an object or a list of hosts`, { file });
    const unknown = Object.keys(parts).find((key) => !GROUP_KEYS.includes(key));
    if (unknown !== undefined) {
      throw invalid(`group ${name} has an unknown key "${unknown}"${didYouMean(unknown, GROUP_KEYS)}`, {
        file,
      });
    }
    for (const host of namesIn(parts.hosts, `hosts of group ${name}`, file))
      addHosts(context, group, host, location);
    for (const child of namesIn(parts.children, `children of group ${name}`, file)) {
      declareGroup(draft, child, location);
      addChild(group, child, location);
    }
    for (const [key, value] of varsIn(parts.vars, `vars of group ${name}`, file)) {
      setGroupVar(group, key, entry(context, value, groupScope(name)));
    }
  }
  const meta = varsIn(sections.get("_meta"), "_meta", file).find(([key]) => key === "hostvars")?.[1];
  for (const [host, values] of varsIn(meta, "_meta.hostvars", file)) {
    // In Ansible, vars alone do not make a host.
    if (draft.hosts.has(host)) readHostVars(context, host, values);
  }
}

function readHostVars(context: ReadContext, host: string, values: unknown): void {
  const pairs = varsIn(values, `vars of host ${host}`, context.file);
  const known = context.draft.hosts.get(host);
  for (const [key, value] of pairs) known?.set(key, entry(context, value, `host ${host}`));
}

function namesIn(value: unknown, what: string, file: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
  throw invalid(`${what} must be a list of names`, { file });
}

/** Replace the stand-ins of `ansible-inventory` in a value: `{ __ansible_vault: … }` becomes a secret, `{ __ansible_unsafe: … }` data. */
function openable(value: unknown, file: string, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw invalid(`a var is nested more than ${MAX_DEPTH} levels deep`, { file });
  if (Array.isArray(value)) return value.map((item) => openable(item, file, depth + 1));
  if (!isDict(value)) return value;
  const { __ansible_vault: vault, __ansible_unsafe: unsafe } = value instanceof Map ? {} : value;
  if (typeof vault === "string") return makeSecret({ kind: "vault", text: vault }, { location: { file } });
  if (typeof unsafe === "string") return new Data(unsafe);
  return makeDict(dictEntries(value).map(([key, inner]) => [key, openable(inner, file, depth + 1)]));
}

function varsIn(value: unknown, what: string, file: string): readonly (readonly [string, unknown])[] {
  if (value === undefined || value === null) return [];
  if (isDict(value)) return dictEntries(value).map(([name, inner]) => [String(name), openable(inner, file)]);
  throw invalid(`${what} must be an object`, { file });
}
