import { spawn } from "node:child_process";
import { lstat, readdir, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ControllerLookups, LookupQuestion } from "../../core/lookup.ts";
import { matchesGlob, setGlobPieces } from "../../core/unix/shell.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { isVault } from "../../vars/vault-format.ts";
import { failLookup } from "./fail-lookup.ts";
import { listTrees } from "./filetree.ts";
import { keptPassword } from "./kept-password.ts";
import { settingOf } from "./settings.ts";

// Lookups of Ansible's that read on the controller's machine. Who asks may be a host: the caller decides what it may ask.

/** The machine that lookups read on, as far as it is not its files. */
export interface LookupMachine {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The directory of the playbook, where commands run, and which relative paths without a search path are below. */
  readonly directory: string;
  /** Return the text of a file encrypted with Ansible Vault. */
  openVault(text: string, file: string): Promise<string>;
  /** Ends commands and requests. */
  readonly signal?: AbortSignal | undefined;
}

/** A question with the machine it is about. */
interface Asked extends LookupQuestion {
  readonly machine: LookupMachine;
}

/** Performs one lookup. */
type Perform = (asked: Asked) => Promise<readonly unknown[]>;

const isFound = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** List where a file may lie, the nearest place first, as Ansible searches: in each directory's `files`, say, and in itself. */
function placesOf(name: string, kind: string, { searchPath, machine }: Asked): string[] {
  const path = name.startsWith("~/") ? join(machine.env.HOME ?? homedir(), name.slice(2)) : name;
  if (isAbsolute(path)) return [path];
  const directories = searchPath.length === 0 ? [machine.directory] : searchPath;
  const places = directories.flatMap((directory) => {
    const own = resolve(machine.directory, directory);
    // The tasks of a role lie beside its files.
    const owners = /^(?:tasks|handlers)$/.test(basename(own)) ? [dirname(own), own] : [own];
    return owners.flatMap((owner) => [join(owner, kind, path), join(owner, path)]);
  });
  return [...new Set([...places, resolve(machine.directory, path)])];
}

async function find(name: string, kind: string, asked: Asked): Promise<string | undefined> {
  for (const place of placesOf(name, kind, asked)) if (await isFound(place)) return place;
  return undefined;
}

async function readOpened(path: string, { machine }: Asked): Promise<string> {
  const text = bytesToText(await readFile(path));
  return isVault(text) ? machine.openVault(text, path) : text;
}

function textOf(term: unknown, plugin: string): string {
  return typeof term === "string" ? term : failLookup(`lookup ${plugin}: a term is no text`);
}

/** Make a lookup whose every term gives one item. */
const each =
  (perform: (term: string, asked: Asked) => Promise<unknown>): Perform =>
  async (asked) => {
    const found: unknown[] = [];
    for (const term of asked.terms) found.push(await perform(textOf(term, asked.plugin), asked));
    return found;
  };

const file = each(async (term, asked) => {
  const path = (await find(term, "files", asked)) ?? failLookup(`could not locate file in lookup: ${term}`);
  const text = await readOpened(path, asked);
  const { lstrip = false, rstrip = true } = asked.options;
  const end = rstrip === true ? text.trimEnd() : text;
  return lstrip === true ? end.trimStart() : end;
});

const template = each(async (term, asked) => {
  const path =
    (await find(term, "templates", asked)) ??
    failLookup(`the template file ${term} could not be found for the lookup`);
  return readOpened(path, asked);
});

const unvault = each(async (term, asked) => {
  const path = (await find(term, "files", asked)) ?? failLookup(`Unable to find file matching "${term}"`);
  return readOpened(path, asked);
});

/** List files by a pattern in the last part of their path. In the first directory that holds some, all are taken. */
const fileglob: Perform = async (asked) => {
  const found: string[] = [];
  for (const term of asked.terms) {
    const pattern = textOf(term, "fileglob");
    const pieces = setGlobPieces(basename(pattern), "fnmatch");
    const isHidden = (name: string): boolean => name.startsWith(".") && !basename(pattern).startsWith(".");
    for (const place of placesOf(pattern, "files", asked)) {
      const directory = dirname(place);
      const names = await readdir(directory).catch(() => []);
      const paths = names
        .filter((name) => !isHidden(name) && matchesGlob(pieces, name))
        .map((name) => join(directory, name));
      const files: string[] = [];
      for (const path of paths) if ((await stat(path).catch(() => null))?.isFile() === true) files.push(path);
      if (files.length > 0) {
        found.push(...files.sort());
        break;
      }
    }
  }
  return found;
};

/** List all below directories; those that are not there have nothing. */
const filetree: Perform = async (asked) => {
  const roots: string[] = [];
  for (const term of asked.terms) {
    const root = await find(textOf(term, "filetree"), "files", asked);
    // A path without a slash at its end, as entries name it.
    if (root !== undefined) roots.push(resolve(root));
  }
  return listTrees(roots);
};

const firstFound: Perform = async (asked) => {
  const { subdirectory = "files" } = asked.options;
  for (const term of asked.terms) {
    const path = await find(textOf(term, "first_found"), String(subdirectory), asked);
    if (path !== undefined) return [path];
  }
  return [];
};

/** The longest output of a command, in bytes. */
const MAX_OUTPUT = 16_777_216;

async function run(plugin: string, command: string, { machine }: Asked): Promise<string> {
  const { env, directory, signal } = machine;
  if (signal?.aborted === true) return failLookup(`lookup_plugin.${plugin}(${command}) was not run`);
  return new Promise((done, reject) => {
    const child = spawn("/bin/sh", ["-c", command], {
      cwd: directory,
      env: env as NodeJS.ProcessEnv,
      stdio: ["ignore", "pipe", "inherit"],
      // A group of its own, so that what the shell started ends with it.
      detached: true,
    });
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid);
      } catch {
        // It has ended by itself.
      }
    };
    signal?.addEventListener("abort", end, { once: true });
    const printed: Buffer[] = [];
    let size = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_OUTPUT) end();
      else printed.push(chunk);
    });
    const failed = (reason: string): void =>
      reject(new VolleyError("TEMPLATE_FAILED", `lookup_plugin.${plugin}(${command}) ${reason}`));
    child.once("error", (error) => failed(`failed: ${error.message}`));
    child.once("close", (code, by) => {
      signal?.removeEventListener("abort", end);
      if (size > MAX_OUTPUT) failed(`printed more than ${MAX_OUTPUT} bytes`);
      else if (code !== 0) failed(`returned ${code ?? by}`);
      else done(bytesToText(Buffer.concat(printed)));
    });
  });
}

const lines: Perform = async (asked) => {
  const found: string[] = [];
  for (const term of asked.terms) {
    const text = await run("lines", textOf(term, "lines"), asked);
    if (text !== "") found.push(...text.replace(/\r?\n$/, "").split(/\r?\n/));
  }
  return found;
};

/** The type of a path: `file`, `directory`, `link` or `fifo` for anything else; null for none. */
const typeOf = each(async (term, { options }) => {
  const stats = await (options.follow === false ? lstat : stat)(term).catch(() => null);
  if (stats === null) return null;
  if (stats.isFile()) return "file";
  return stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "link" : "fifo";
});

const mount = each(async (term) => {
  const own = await lstat(term).catch(() => null);
  if (own === null || own.isSymbolicLink()) return false;
  const above = await lstat(join(term, "..")).catch(() => null);
  return above !== null && (own.dev !== above.dev || own.ino === above.ino);
});

const sameFile: Perform = async ({ terms }) => {
  const [one, other] = await Promise.all(
    terms.map((term) =>
      stat(textOf(term, "same_file")).catch(() => failLookup(`there is no file '${String(term)}'`)),
    ),
  );
  return [one !== undefined && other !== undefined && one.dev === other.dev && one.ino === other.ino];
};

const config: Perform = async ({ terms, options, machine }) =>
  terms.flatMap((term) => settingOf(term, machine.env, String(options.on_missing ?? "error")));

/** What templates may ask of the controller; the last three are tests of paths. */
const LOOKUPS: Readonly<Record<string, Perform>> = {
  config,
  env: each(async (term, { machine }) => machine.env[term] ?? null),
  file,
  fileglob,
  filetree,
  first_found: firstFound,
  lines,
  password: each((term, { options, machine }) => keptPassword(resolve(machine.directory, term), options)),
  pipe: each(async (term, asked) => (await run("pipe", term, asked)).trimEnd()),
  template,
  unvault,
  url: async ({ terms, options, machine }) => {
    // All of Node's HTTP, which few playbooks need.
    const { fetchUrl } = await import("./fetch-url.ts");
    return (
      await Promise.all(terms.map((term) => fetchUrl(textOf(term, "url"), options, machine.signal)))
    ).flat();
  },
  stat: typeOf,
  mount,
  same_file: sameFile,
};

/** Make what performs lookups on this machine. An unknown lookup fails with `TEMPLATE_FAILED`, as every failure does. */
export function createControllerLookups(machine: LookupMachine): ControllerLookups {
  return {
    perform: async (question) => {
      const { plugin } = question;
      const perform = Object.hasOwn(LOOKUPS, plugin) ? LOOKUPS[plugin] : undefined;
      if (perform === undefined) return failLookup(`lookup plugin (${plugin}) not found`);
      return perform({ ...question, machine });
    },
  };
}
