import { resolve } from "node:path";
import type { AnsibleSettings } from "../ansible/config/settings.ts";
import type { FileNode, LibraryNode, Node, RoleNode } from "../ansible/ir.ts";
import { roleDirectories } from "../ansible/load/compile.ts";
import { loadRole } from "../ansible/load/playbook.ts";
import { mappingOf, parseSource, readText } from "../ansible/load/read.ts";
import { findRole } from "../ansible/load/roles.ts";
import { isModuleName } from "../ansible/module-names.ts";
import { VolleyError } from "../core/errors.ts";
import type { Vars } from "../core/values/vars.ts";
import { isVault } from "../vars/vault-format.ts";
import { encodeWhole } from "../vars/whole-value.ts";

// A role in Ansible's YAML by itself, without a playbook: found, and read by the loader.

/**
 * A role in Ansible's YAML as a tree. All paths are relative to the role's directory, and every statement has its place as
 * `at`: `tasks/main.yml:3:5`. `volley role to-ast` prints it as JSON. A field once there keeps its meaning within a
 * `format`; readers ignore fields they do not know.
 */
export interface RoleSource {
  readonly format: 1;
  readonly role: Omit<RoleNode, "path"> & {
    /** The role's directory, absolute. */
    readonly directory: string;
  };
  /** Files of tasks, by path. */
  readonly tasks: Readonly<Record<string, FileNode<readonly Node[]>>>;
  /** Files of handlers, by path. */
  readonly handlers: Readonly<Record<string, FileNode<readonly Node[]>>>;
  /** Files of defaults, by path. */
  readonly defaults: Readonly<Record<string, VarsFile>>;
  /** Files of vars, by path. */
  readonly vars: Readonly<Record<string, VarsFile>>;
  /** Paths of files and directories' files below `files/`. */
  readonly files: readonly string[];
  /** Paths of the templates below `templates/`. */
  readonly templates: readonly string[];
  /** Modules of the role's own, by name. */
  readonly library: Readonly<Record<string, LibraryNode>>;
}

/** A file of vars. */
export type VarsFile =
  | {
      readonly content: Vars;
      /** The line of each var, counted from 1. */
      readonly lines: Readonly<Record<string, number>>;
    }
  | { readonly error: string };

/**
 * Read a role that is named as in a playbook of the working directory, or by its path. Fails with `PLAYBOOK_MISSING`, or
 * with `PLAYBOOK_INVALID`, file, line and column.
 */
export function readRole(name: string, cwd: string, settings: AnsibleSettings): RoleSource {
  const places = { playbookDirectory: cwd, ...roleDirectories(cwd, settings) };
  const found = findRole(name, places);
  if (found === undefined)
    throw new VolleyError("PLAYBOOK_MISSING", `there is no role ${name}`, {
      hint: `looked for it as a directory, and in ${[resolve(cwd, "roles"), ...places.roles].join(", ")}`,
    });
  const { tree, files } = loadRole(found.directory, {
    ...places,
    library: [],
    settings: {},
    isModule: isModuleName,
  });
  const { path: _path, ...node } = tree.roles["."]!;
  const below = <T>(all: Readonly<Record<string, T>>, directory: string): Record<string, T> =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([path]) => path.startsWith(`${directory}/`))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  const vars = Object.fromEntries(
    Object.entries(tree.vars).map(([path, file]) => [path, withLines(path, file, found.directory)]),
  );
  const assets = (kind: string): readonly string[] =>
    [...files.keys()].filter((path) => path.startsWith(`${kind}/`)).sort();
  return {
    format: 1,
    role: { ...node, name: found.name, directory: found.directory },
    tasks: below(tree.tasks, "tasks"),
    handlers: below(tree.tasks, "handlers"),
    defaults: below(vars, "defaults"),
    vars: below(vars, "vars"),
    files: assets("files"),
    templates: assets("templates"),
    library: tree.library,
  };
}

/** Write a role as JSON. A value that JSON lacks is `{ "$volley": [kind, content] }`, such as a float of whole value. */
export function writeRole(source: RoleSource): string {
  return `${JSON.stringify(encodeWhole(source), null, 2)}\n`;
}

function withLines(path: string, file: FileNode<Vars>, directory: string): VarsFile {
  if ("error" in file) return file;
  const text = readText(resolve(directory, path), path);
  if (isVault(text)) return { error: `${path} is encrypted with Ansible Vault` };
  const source = parseSource(text, path, () => null);
  const entries = mappingOf(source, source.reader.root)?.entries ?? new Map();
  const lines = [...entries].map(([name, { location }]): [string, number] => [name, location.line ?? 1]);
  return { content: file.content, lines: Object.fromEntries(lines) };
}
