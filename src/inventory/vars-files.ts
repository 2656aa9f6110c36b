import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { displayPath } from "./display-path.ts";
import { type Entries, groupScope } from "./draft.ts";
import { readYaml } from "./yaml-reader.ts";

const EXTENSIONS = ["", ".yml", ".yaml", ".json"];

/** `group_vars` and `host_vars` of one directory, by group and host name. */
export interface VarsFiles {
  readonly groups: ReadonlyMap<string, Entries>;
  readonly hosts: ReadonlyMap<string, Entries>;
}

/** Whether a file's name marks it as hidden, a backup, or an editor's. */
export function isLeftover(name: string): boolean {
  return /^[.#]|~$|\.(?:orig|bak|swp|retry|rej|pyc|pyo)$/.test(name);
}

// Synchronous calls: a fleet has a small file for each host, and a trip through Node's thread pool costs several
// times what reading one does.

function attempt<T>(path: string, cwd: string, operation: () => T, missing?: T): T {
  try {
    return operation();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (missing !== undefined && (code === "ENOENT" || code === "ENOTDIR")) return missing;
    const reason =
      code === "EACCES" ? "permission denied" : code === "ENOENT" ? "the link leads nowhere" : code;
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
  if (!attempt(path, cwd, () => statSync(path)).isDirectory()) return [path];
  const names = listDirectory(path, cwd);
  const wanted = names.filter((name) => extensionOf(name) !== "" || !name.includes("."));
  return wanted.flatMap((name) => filesBelow(join(path, name), cwd));
}

async function readVarsFile(
  path: string,
  cwd: string,
  scope: string,
  directory: string,
  into: Entries,
): Promise<void> {
  const file = displayPath(path, cwd);
  const reader = await readYaml(
    file,
    attempt(path, cwd, () => readFileSync(path, "utf8")),
  );
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
    into.set(key, { value: reader.value(value, key), source, directory });
  }
}

async function readKind(
  directory: string,
  kind: "group_vars" | "host_vars",
  wanted: ReadonlySet<string>,
  cwd: string,
): Promise<ReadonlyMap<string, Entries>> {
  const found = new Map<string, string>();
  for (const name of listDirectory(join(directory, kind), cwd)) {
    const extension = extensionOf(name);
    const bare = wanted.has(name) ? name : name.slice(0, name.length - extension.length);
    if (!wanted.has(bare)) continue;
    const path = join(directory, kind, name);
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
  const read = new Map<string, Entries>();
  for (const [name, path] of found) {
    const entries: Entries = new Map();
    const scope = kind === "host_vars" ? `host ${name}` : groupScope(name);
    for (const file of filesBelow(path, cwd)) await readVarsFile(file, cwd, scope, directory, entries);
    read.set(name, entries);
  }
  return read;
}

/**
 * Reads the `group_vars` and `host_vars` that lie in a directory, for the groups and hosts there are: `NAME`,
 * `NAME.yml`, `.yaml` or `.json`, or a directory `NAME` of such files, merged in name order.
 * Fails with `INVENTORY_INVALID`.
 */
export async function readVarsFiles(
  directory: string,
  wanted: { readonly groups: ReadonlySet<string>; readonly hosts: ReadonlySet<string>; readonly cwd: string },
): Promise<VarsFiles> {
  return {
    groups: await readKind(directory, "group_vars", wanted.groups, wanted.cwd),
    hosts: await readKind(directory, "host_vars", wanted.hosts, wanted.cwd),
  };
}
