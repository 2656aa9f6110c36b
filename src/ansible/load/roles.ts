import { existsSync, readdirSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { statPath } from "../../system/stat-path.ts";
import { isDirectory, isFile } from "./read.ts";

// Where roles, files of tasks and files of vars are looked for.

/** The places to look for roles and collections, as absolute paths. */
export interface SearchPaths {
  readonly playbookDirectory: string;
  /** `roles_path`, in order. */
  readonly roles: readonly string[];
  /** `collections_path`, in order; each holds `ansible_collections`. */
  readonly collections: readonly string[];
}

/** A role that was found. */
export interface FoundRole {
  readonly directory: string;
  readonly name: string;
  /** `namespace.name` of its collection. */
  readonly collection?: string;
  /** The file of a role in TypeScript. */
  readonly script?: string;
}

/**
 * Find a role as Ansible does: in a collection, in `roles` beside the playbook, in the roles path, beside the role that
 * asks, beside the playbook, and as a path. `from` is the directory of the asking role, and `collections` those named by
 * the play.
 */
export function findRole(
  name: string,
  { playbookDirectory, roles, collections }: SearchPaths,
  from?: { readonly directory: string; readonly collection?: string | undefined },
  searched: readonly string[] = [],
): FoundRole | undefined {
  const inCollections = (collection: string, role: string): FoundRole | undefined => {
    const below = join("ansible_collections", ...collection.split("."), "roles", role);
    const directory = collections.map((path) => join(path, below)).find(isDirectory);
    return directory === undefined ? undefined : { directory, name: role, collection };
  };
  const parts = /^(\w+\.\w+)\.([\w.]+)$/.exec(name);
  if (parts !== null) {
    const found = inCollections(parts[1]!, parts[2]!);
    if (found !== undefined) return found;
  }
  for (const collection of [...(from?.collection === undefined ? [] : [from.collection]), ...searched]) {
    const found = inCollections(collection, name);
    if (found !== undefined) return found;
  }
  const places = [
    join(playbookDirectory, "roles"),
    ...roles,
    ...(from === undefined ? [] : [dirname(from.directory)]),
    playbookDirectory,
  ];
  const path = name.startsWith("~/") ? join(process.env.HOME ?? "/", name.slice(2)) : name;
  for (const place of isAbsolute(path) ? ["/"] : places) {
    const directory = resolve(place, path);
    if (!isDirectory(directory)) continue;
    const script = findScript(directory);
    if (script !== undefined) return { directory, name: basename(path), script };
    if (looksLikeRole(directory)) return { directory, name: basename(path) };
  }
  return undefined;
}

/** Find a playbook by its name in a collection, `namespace.name.playbook`, with or without a suffix. */
export function findPlaybook(name: string, collections: SearchPaths["collections"]): string | undefined {
  const [, namespace, collection, playbook] = /^(\w+)\.(\w+)\.([\w.]+)$/.exec(name) ?? [];
  if (namespace === undefined) return undefined;
  const below = join("ansible_collections", namespace, collection!, "playbooks", playbook!);
  return collections
    .flatMap((path) => ["", ".yml", ".yaml"].map((suffix) => join(path, below + suffix)))
    .find(isFile);
}

/** Find the file of a role in TypeScript or JavaScript. Beside what Ansible reads of a role such files are something else. */
function findScript(directory: string): string | undefined {
  if (["tasks", "handlers", "defaults", "vars", "meta"].some((part) => existsSync(join(directory, part))))
    return undefined;
  return ["role.ts", "index.ts", "role.js", "index.js"]
    .map((name) => join(directory, name))
    .find((file) => isFile(file));
}

/** A directory that only happens to have the name of a role is passed over; an empty role is none the less a role. */
function looksLikeRole(directory: string): boolean {
  const parts = [
    "tasks",
    "handlers",
    "defaults",
    "vars",
    "meta",
    "files",
    "templates",
    "library",
    "module_utils",
  ];
  return parts.some((part) => existsSync(join(directory, part))) || readdirSync(directory).length === 0;
}

const SUFFIXES = ["", ".yml", ".yaml", ".json"];

/** Find `NAME`, `NAME.yml`, `.yaml` or `.json` in a directory, or the directory `NAME`. `main` may be named so, too. */
export function findMain(directory: string, name: string): string | undefined {
  const order = name === "main" ? [".yml", ".yaml", ".json", ""] : SUFFIXES;
  return order
    .map((suffix) => join(directory, name + suffix))
    .find((path) => isFile(path) || isDirectory(path));
}

/**
 * List the files below a directory, sorted, as paths relative to it; hidden ones only on request. Links are followed, but
 * for those to a directory that they are in.
 */
export function listFiles(
  directory: string,
  isWanted: (path: string) => boolean = () => true,
  below = "",
  above: readonly string[] = [],
): string[] {
  if (!isDirectory(join(directory, below))) return [];
  const real = realpathSync(join(directory, below));
  if (above.includes(real)) return [];
  return readdirSync(join(directory, below))
    .sort()
    .flatMap((name) => {
      const path = below === "" ? name : `${below}/${name}`;
      if (!isWanted(path)) return [];
      const stats = statPath(join(directory, path));
      if (stats?.isDirectory()) return listFiles(directory, isWanted, path, [...above, real]);
      return stats?.isFile() ? [path] : [];
    });
}
