import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { type IniFile, readIni } from "./ini.ts";
import { type KnownSetting, SETTINGS, type SettingTypes, UNHEEDED } from "./known.ts";

// The settings of Ansible: ansible.cfg, found and read, under the environment.

/** A value with the place that set it. */
export interface Setting<T> {
  readonly value: T;
  /** For people: `ANSIBLE_FORKS`, or `ansible.cfg:3`. */
  readonly from: string;
}

type Known = typeof SETTINGS;

/** The settings that are set; all others are Volley's own. Frozen, and of plain values. */
export type AnsibleSettings = {
  readonly [Name in keyof Known]?: Setting<SettingTypes[Known[Name]["type"]]>;
} & {
  /** The path of the ansible.cfg that was read. */
  readonly file?: string;
  /** Lines for people: what was not read, and what is set and not heeded. */
  readonly notes: readonly string[];
};

/** The surroundings in which settings are read. */
export interface SettingsOptions {
  readonly cwd: string;
  /** Default: the process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** The file that is read when nothing nearer is there. Default `/etc/ansible/ansible.cfg`. */
  readonly systemFile?: string;
}

/**
 * Read Ansible's settings as Ansible does: the environment wins over the first file of `$ANSIBLE_CONFIG`,
 * `./ansible.cfg` (not in a directory that everybody can write to), `~/.ansible.cfg` and `/etc/ansible/ansible.cfg`.
 * Relative paths begin at the file's directory; of a variable, at the working directory. Fails with `USAGE`.
 */
export function readAnsibleSettings({
  cwd,
  env = process.env,
  systemFile = "/etc/ansible/ansible.cfg",
}: SettingsOptions): AnsibleSettings {
  const { file, note } = findFile(cwd, env, systemFile);
  const ini = file === undefined ? new Map() : readFile(file);
  const places: Places = { cwd, env, file, ini };
  const found = Object.entries(SETTINGS).flatMap(([name, known]) => {
    const setting = look(known, places);
    return setting === undefined ? [] : [[name, Object.freeze(setting)] as const];
  });
  const settings = Object.fromEntries(found) as Omit<AnsibleSettings, "notes">;
  if (settings.hashBehaviour?.value === "merge") {
    throw new VolleyError(
      "USAGE",
      `hash_behaviour = merge (${settings.hashBehaviour.from}) is not supported: vars replace each other as a whole`,
      { hint: "merge dicts where it is wanted, with the filter combine" },
    );
  }
  return Object.freeze({
    ...settings,
    ...(file === undefined ? {} : { file }),
    notes: Object.freeze([...(note === undefined ? [] : [note]), ...unheeded(settings, places)]),
  });
}

interface Places {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly file: string | undefined;
  readonly ini: IniFile;
}

const NAME = "ansible.cfg";
const WRITABLE_FOR_ALL = 0o002;

function findFile(
  cwd: string,
  env: NodeJS.ProcessEnv,
  systemFile: string,
): { readonly file?: string; readonly note?: string } {
  const home = env.HOME ?? homedir();
  const named = env.ANSIBLE_CONFIG;
  if (named !== undefined && named !== "") {
    const path = resolve(cwd, expandHome(named, home));
    const stats = statSync(path, { throwIfNoEntry: false });
    const file = stats?.isDirectory() === true ? join(path, NAME) : path;
    if (isFile(file)) return { file };
  }
  const here = join(cwd, NAME);
  let note: string | undefined;
  if (isFile(here)) {
    if (((statSync(cwd, { throwIfNoEntry: false })?.mode ?? 0) & WRITABLE_FOR_ALL) === 0)
      return { file: here };
    note = `${NAME} here is not read: everybody can write to this directory; name the file with ANSIBLE_CONFIG`;
  }
  const file = [join(home, `.${NAME}`), systemFile].find(isFile);
  return { ...(file === undefined ? {} : { file }), ...(note === undefined ? {} : { note }) };
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function readFile(file: string): IniFile {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new VolleyError("USAGE", `${file} cannot be read: ${fileReason(cause)}`, { cause });
  }
  return readIni(file, text);
}

/** A value as written, with its place, and the directory where its paths begin. */
interface Written {
  readonly text: string;
  readonly from: string;
  readonly directory: string;
}

function written({ env: names, ini: keys }: Omit<KnownSetting, "type">, places: Places): Written | undefined {
  const { cwd, env, file, ini } = places;
  for (const name of names) {
    const text = env[name];
    if (text !== undefined && text !== "") return { text, from: name, directory: cwd };
  }
  for (const key of keys) {
    const found = ini.get(key);
    if (found === undefined) continue;
    return { text: unquote(found.value), from: `${file}:${found.line}`, directory: dirname(file!) };
  }
  return undefined;
}

function look(known: KnownSetting, places: Places): Setting<SettingTypes[keyof SettingTypes]> | undefined {
  const found = written(known, places);
  if (found === undefined) return undefined;
  const { from } = found;
  // `None` in a file is the absence of a value.
  if (found.text === "None" || (found.text === "" && known.type !== "text")) return undefined;
  return { value: convert(known, found, places), from };
}

function convert(
  { type, env, ini, choices }: KnownSetting,
  { text, from, directory }: Written,
  places: Places,
): SettingTypes[keyof SettingTypes] {
  const name = env[0] ?? ini[0]!.split(".")[1]!;
  const refuse = (wanted: string): never => {
    throw new VolleyError("USAGE", `${from}: ${name} must be ${wanted}, not ${JSON.stringify(text)}`);
  };
  if (choices !== undefined && !choices.includes(text)) refuse(choices.join(" or "));
  const path = (one: string): string => pathOf(one, directory, places);
  const parts = (separator: string): readonly string[] =>
    text
      .split(separator)
      .map((part) => unquote(part.trim()))
      .filter((part) => part !== "");
  switch (type) {
    case "text":
      return text;
    case "flag":
      return flagOf(text) ?? refuse("yes or no");
    case "whole":
      return /^\d+$/.test(text.trim()) ? Number(text) : refuse("a whole number");
    case "path":
      return path(text);
    case "paths":
      return Object.freeze(parts(":").map(path));
    case "sources":
      return Object.freeze(sourcesOf(text, path));
    case "words":
      return Object.freeze(parts(","));
  }
}

/** A list of hosts, `host1,host2,`, is one source: Ansible tells it by its last comma. */
function sourcesOf(text: string, path: (one: string) => string): readonly string[] {
  if (/,\s*$/.test(text)) return [text.trim()];
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(path);
}

const YES = new Set(["y", "yes", "on", "1", "true", "t"]);
const NO = new Set(["n", "no", "off", "0", "false", "f"]);

function flagOf(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  return YES.has(word) ? true : NO.has(word) ? false : undefined;
}

function unquote(text: string): string {
  return /^(["']).*\1$/s.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}

function expandHome(path: string, home: string): string {
  return path === "~" || path.startsWith("~/") ? join(home, path.slice(1)) : path;
}

function pathOf(written: string, directory: string, { cwd, env }: Places): string {
  const filled = written
    .replace(/\{\{\s*CWD\s*\}\}/g, cwd)
    .replace(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (text, braced?: string, bare?: string) => env[(braced ?? bare)!] ?? text,
    );
  return resolve(directory, expandHome(filled, env.HOME ?? homedir()));
}

/** The inventory plugins whose sources Volley reads. */
const PLUGINS = [
  ...["auto", "yaml", "ini", "script", "host_list", "advanced_host_list", "constructed", "toml"],
];
/** The plugins for facts that Volley knows: those of a run, or those of a directory. */
const FACT_CACHES = /^(?:ansible\.builtin\.)?(?:memory|jsonfile)$/;
/** Jinja's own extensions whose tags Volley's templates know. */
const EXTENSIONS = ["jinja2.ext.do", "jinja2.ext.loopcontrols"];

/** Say, once and in one line, what is set and not heeded. */
function unheeded(settings: Omit<AnsibleSettings, "notes">, places: Places): readonly string[] {
  const named = UNHEEDED.flatMap((known) => {
    const found = written(known, places);
    return found === undefined ? [] : [nameOf(known, found)];
  });
  const plugins = settings.inventoryPlugins?.value.filter(
    (plugin) => !PLUGINS.includes(plugin.replace(/^(?:ansible\.builtin|community\.general)\./, "")),
  );
  if (plugins !== undefined && plugins.length > 0)
    named.push(`enable_plugins (${plugins.join(", ")}; ${settings.inventoryPlugins!.from})`);
  const extensions = settings.jinja2Extensions?.value.filter((name) => !EXTENSIONS.includes(name));
  if (extensions !== undefined && extensions.length > 0)
    named.push(`jinja2_extensions (${extensions.join(", ")}; ${settings.jinja2Extensions!.from})`);
  const { factCaching } = settings;
  if (factCaching !== undefined && !FACT_CACHES.test(factCaching.value))
    named.push(`fact_caching (${factCaching.value}; ${factCaching.from})`);
  return named.length === 0 ? [] : [`set for Ansible, but not heeded here: ${named.join(", ")}`];
}

function nameOf({ ini }: Omit<KnownSetting, "type">, { from }: Written): string {
  return from.startsWith("ANSIBLE_") ? from : `${ini[0]!.split(".")[1]} (${from})`;
}
