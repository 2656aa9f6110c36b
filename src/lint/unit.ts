import { basename, dirname, join } from "node:path";
import type { AnsibleSettings } from "../ansible/config/settings.ts";
import { Collection } from "../ansible/load/collection.ts";
import { roleDirectories } from "../ansible/load/compile.ts";
import { isDirectory, isFile, readText } from "../ansible/load/read.ts";
import type { FoundRole, SearchPaths } from "../ansible/load/roles.ts";
import type { Modules } from "../ansible/modules/registry.ts";
import type { SourceLocation } from "../core/errors.ts";
import type { TemplateStyle } from "../template/options.ts";
import { HandlerBook, VarBook } from "./books.ts";
import type { Findings } from "./finding.ts";

/** The common ground of all files that are looked at in one go. */
export interface LintWorld {
  readonly findings: Findings;
  readonly modules: Modules;
  readonly settings: AnsibleSettings;
  /** The names of all vars of the inventory; undefined without one. */
  readonly inventoryVars: ReadonlySet<string> | undefined;
  /** Look at a role that a unit names, once; undefined for one that is not found, which is a finding. */
  useRole(unit: Unit, name: string, at: SourceLocation): Unit | undefined;
}

/** A playbook, or a role: the things that know each other's vars and handlers. */
export interface Unit {
  readonly world: LintWorld;
  readonly findings: Findings;
  /** The playbook's directory; of a role by itself the directory that would be it. */
  readonly base: string;
  readonly search: SearchPaths;
  readonly role: FoundRole | undefined;
  /** False for a role of which nobody knows the playbook. */
  readonly hasPlaybook: boolean;
  readonly collection: Collection;
  readonly vars: VarBook;
  readonly handlers: HandlerBook;
  /** The roles that it brings in. */
  readonly uses: Set<Unit>;
  /** The plays of a playbook, each with its own handlers. */
  readonly plays: Unit[];
  /** Files of tasks that statements name; true for files that handlers import, whose tasks are handlers. */
  readonly queue: Map<string, boolean>;
  /** Files that have been looked at. */
  readonly seen: Set<string>;
  /** Templates that tasks name, with the marks they are written with; `unknown` where only a run knows. */
  readonly templates: Map<string, TemplateStyle | "unknown">;
  /** The collections that the play names, where roles are looked for. */
  collections: readonly string[];
  /** True where modules may get arguments from the play's `module_defaults`. */
  hasDefaults: boolean;
  /** True where roles are brought in whose names only a run knows, or that were not found. */
  isOpen: boolean;
}

/** Make a unit: of a playbook by its directory, or of a role. */
export function makeUnit(world: LintWorld, base: string, role?: FoundRole, hasPlaybook = true): Unit {
  const collection = new Collection(base);
  for (const directory of [join(base, "library"), ...(world.settings.library?.value ?? [])])
    collection.takeLibrary(directory);
  if (role !== undefined) collection.takeLibrary(join(role.directory, "library"));
  return {
    world,
    findings: world.findings,
    base,
    search: { ...roleDirectories(base, world.settings), playbookDirectory: base },
    role,
    hasPlaybook,
    collection,
    vars: new VarBook(),
    handlers: new HandlerBook(),
    uses: new Set(),
    plays: [],
    queue: new Map(),
    seen: new Set(),
    templates: new Map(),
    collections: [],
    hasDefaults: false,
    isOpen: false,
  };
}

/** Find a role of the collection whose directory is the unit's base, by its full name. */
export function ownRole({ base }: Unit, name: string): FoundRole | undefined {
  const [, collection, role] = /^(\w+\.\w+)\.([\w.]+)$/.exec(name) ?? [];
  const galaxy = join(base, "galaxy.yml");
  if (collection === undefined || !isFile(galaxy)) return undefined;
  const text = readText(galaxy, galaxy);
  const word = (key: string): string => new RegExp(`^${key}:\\s*["']?([\\w-]+)`, "m").exec(text)?.[1] ?? "";
  const directory = join(base, "roles", role!);
  return `${word("namespace")}.${word("name")}` === collection && isDirectory(directory)
    ? { directory, name: role!, collection }
    : undefined;
}

/** Return the directory that holds the playbooks of a role: above `roles`, or beside the role. */
export function baseOfRole(directory: string): string {
  const above = dirname(directory);
  return basename(above) === "roles" ? dirname(above) : above;
}

/** Return a unit and all that it brings in, each once. */
export function withUses(unit: Unit, seen: Set<Unit> = new Set()): ReadonlySet<Unit> {
  if (seen.has(unit)) return seen;
  seen.add(unit);
  for (const used of unit.uses) withUses(used, seen);
  return seen;
}
