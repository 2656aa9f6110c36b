import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDirectory, isFile, parseSource, readText } from "../ansible/load/read.ts";
import { VolleyError } from "../core/errors.ts";

/** Something to look at. Paths are absolute. */
export type Target =
  | { readonly kind: "role"; readonly directory: string }
  | { readonly kind: "playbook" | "tasks" | "vars" | "template" | "typescript"; readonly file: string };

const ROLE_PARTS = ["tasks", "handlers", "defaults", "vars", "meta", "templates"];
const YAML = /\.ya?ml$/;
const TYPESCRIPT = /(?<!\.d)\.[cm]?[jt]s$/;

/**
 * Return what a path stands for: a file by its content, a role by its directory, or all playbooks and roles of a
 * project. Fails with `USAGE` for a path that is not there or holds nothing to look at.
 */
export function targetsOf(path: string, shown: string): readonly Target[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new VolleyError("USAGE", `there is no file or directory ${shown}`);
  if (!stats.isDirectory()) return [targetOf(path, shown)];
  const found = targetsBelow(path);
  if (found.length === 0)
    throw new VolleyError("USAGE", `${shown} holds no role and no playbook`, {
      hint: "name a playbook, a role's directory, or a directory with playbooks and roles/",
    });
  return found;
}

function targetOf(file: string, shown: string): Target {
  if (TYPESCRIPT.test(file)) return { kind: "typescript", file };
  if (file.endsWith(".j2")) return { kind: "template", file };
  if (!YAML.test(file) && !file.endsWith(".json") && !/^main$/.test(basename(file)))
    throw new VolleyError("USAGE", `${shown} is no playbook, role or template`, {
      hint: "the names of these end in .yml, .yaml, .ts, .js or .j2",
    });
  return { kind: kindOf(file) ?? "playbook", file };
}

/** Tell a file's kind by its content; undefined for YAML that is none of them, or cannot be read. */
function kindOf(file: string): "playbook" | "tasks" | "vars" | undefined {
  try {
    const { reader } = parseSource(readText(file, file), file, () => "");
    const items = reader.items(reader.root);
    if (items === null) return reader.entries(reader.root) === null ? undefined : "vars";
    const keys = items.flatMap((item) => reader.entries(item)?.map(({ key }) => key) ?? []);
    if (keys.length === 0) return undefined;
    return keys.some((key) => /^(?:hosts|(?:[\w.]+\.)?import_playbook)$/.test(key)) ? "playbook" : "tasks";
  } catch {
    // A role's files have their places; any other is taken for a playbook, whose fault is told.
    return /^(?:tasks|handlers)$/.test(basename(dirname(file))) ? "tasks" : undefined;
  }
}

function isRole(directory: string): boolean {
  const parts = ROLE_PARTS.filter((part) => isDirectory(join(directory, part)));
  return parts.some((part) => part !== "templates" && part !== "vars");
}

function entriesOf(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => !name.startsWith("."))
    .sort()
    .map((name) => join(directory, name));
}

/** Return the playbooks and roles of a directory: a role, a project, a collection, or a directory of roles. */
function targetsBelow(directory: string): readonly Target[] {
  if (
    isRole(directory) &&
    !existsSync(join(directory, "galaxy.yml")) &&
    !isDirectory(join(directory, "roles"))
  )
    return [{ kind: "role", directory }];
  const playbooks = [directory, join(directory, "playbooks")].flatMap((place) =>
    isDirectory(place) ? entriesOf(place).filter((file) => isFile(file) && YAML.test(file)) : [],
  );
  const scripts = entriesOf(directory).filter(
    (file) => isFile(file) && TYPESCRIPT.test(file) && imports(file),
  );
  return [
    ...playbooks
      .filter((file) => kindOf(file) === "playbook")
      .map((file): Target => ({ kind: "playbook", file })),
    ...scripts.map((file): Target => ({ kind: "typescript", file })),
    ...[directory, join(directory, "roles")].flatMap(rolesIn),
  ];
}

function rolesIn(directory: string): readonly Target[] {
  if (!isDirectory(directory)) return [];
  return entriesOf(directory).flatMap((place): readonly Target[] => {
    if (!isDirectory(place)) return [];
    if (isRole(place)) return [{ kind: "role", directory: place }];
    if (basename(directory) !== "roles") return [];
    return entriesOf(place)
      .filter((file) => isFile(file) && TYPESCRIPT.test(file) && imports(file))
      .map((file) => ({ kind: "typescript", file }));
  });
}

/** Tell whether a file of a project is a playbook or a role: those define one with what they import from `volley`. */
function imports(file: string): boolean {
  const text = readText(file, file);
  return /\bfrom\s+["']volley["']/.test(text) && /export default (?:definePlaybook|defineRole)\b/.test(text);
}
