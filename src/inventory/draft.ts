import { didYouMean, printable, type SourceLocation, VolleyError } from "../core/errors.ts";
import type { VarSource } from "../core/inventory.ts";
import { bindSecrets } from "../core/secret.ts";
import { checkGroupName, parseHostName } from "../patterns/names.ts";

/** A var as written in its file. */
export interface Entry {
  readonly value: unknown;
  readonly source: VarSource;
  /** An absolute path; relative paths in the value begin there. */
  readonly directory: string;
}

/** Vars of one group or host, by name. */
export type Entries = Map<string, Entry>;

/** A group of a draft. */
export interface DraftGroup {
  readonly name: string;
  readonly hosts: Set<string>;
  /** The names of its children, each with the place that says so. */
  readonly children: Map<string, SourceLocation>;
  readonly vars: Entries;
  /** Ansible's `ansible_group_priority`: the higher wins among groups of one depth. */
  priority: number;
  /** Null for a declared group; otherwise the first place that mentions it. */
  mentioned: SourceLocation | null;
}

/** An inventory that is still being read: several sources add to one draft. */
export interface Draft {
  readonly groups: Map<string, DraftGroup>;
  /** The vars of each host, in the inventory's order. */
  readonly hosts: Map<string, Entries>;
}

/** The file that a reader reads, and the draft that it adds to. */
export interface ReadContext {
  readonly draft: Draft;
  /** The path that people are shown. */
  readonly file: string;
  /** An absolute path; relative paths in the file begin there. */
  readonly directory: string;
}

/** Make a draft that holds `all` and `ungrouped` and nothing else. */
export function createDraft(): Draft {
  const draft: Draft = { groups: new Map(), hosts: new Map() };
  declareGroup(draft, "all", { file: "" });
  declareGroup(draft, "ungrouped", { file: "" });
  return draft;
}

/** Return the group of a name, made when it is new. This does not declare it: a group that nothing declares is an error in the end. */
export function mentionGroup(draft: Draft, name: string, location: SourceLocation): DraftGroup {
  const known = draft.groups.get(name);
  if (known !== undefined) return known;
  checkGroupName(name, location);
  return makeGroup(draft, name, location);
}

/** Return the group of a name that a task gives: any name will do. */
export function groupOfTask(draft: Draft, name: string): DraftGroup {
  return draft.groups.get(name) ?? makeGroup(draft, name, null);
}

function makeGroup(draft: Draft, name: string, mentioned: DraftGroup["mentioned"]): DraftGroup {
  const group: DraftGroup = {
    name,
    hosts: new Set(),
    children: new Map(),
    vars: new Map(),
    priority: 1,
    mentioned,
  };
  draft.groups.set(name, group);
  return group;
}

/** Declare a group. Fail with `INVENTORY_INVALID` for a name that no group can have. */
export function declareGroup(draft: Draft, name: string, location: SourceLocation): DraftGroup {
  const isNew = !draft.groups.has(name);
  const group = mentionGroup(draft, name, location);
  if (!isNew && group.mentioned !== null) {
    // In Ansible the declaration gives a group its place among all groups and among its siblings.
    moveToEnd(draft.groups, name);
    for (const { children } of draft.groups.values()) if (children.has(name)) moveToEnd(children, name);
  }
  group.mentioned = null;
  return group;
}

function moveToEnd<T>(map: Map<string, T>, key: string): void {
  const value = map.get(key)!;
  map.delete(key);
  map.set(key, value);
}

/** Put one group below another. */
export function addChild(parent: DraftGroup, child: string, location: SourceLocation): void {
  if (!parent.children.has(child)) parent.children.set(child, location);
}

/** Set a var of a group; `ansible_group_priority`, which Ansible keeps apart, sets the priority. Fail when that is no whole number. */
export function setGroupVar(group: DraftGroup, name: string, entry: Entry): void {
  if (name !== "ansible_group_priority") {
    group.vars.set(name, entry);
    return;
  }
  const { value } = entry;
  const priority = typeof value === "object" ? Number.NaN : Number(value);
  if (!Number.isInteger(priority)) {
    throw invalid(`ansible_group_priority of group ${group.name} must be a whole number`, locationOf(entry));
  }
  group.priority = priority;
}

/** Add the hosts that a written name stands for to a group; return their vars, to be filled. */
export function addHosts(
  context: ReadContext,
  group: DraftGroup,
  written: string,
  location: SourceLocation,
): readonly { readonly name: string; readonly vars: Entries }[] {
  const { names, port } = parseHostName(written, location);
  return names.map((name) => {
    group.hosts.add(name);
    let vars = context.draft.hosts.get(name);
    if (vars === undefined) {
      vars = new Map();
      context.draft.hosts.set(name, vars);
    }
    if (port !== undefined) vars.set("ansible_port", entry(context, port, `host ${name}`, location.line));
    return { name, vars };
  });
}

/** Make the entry of a var in this file. */
export function entry(context: ReadContext, value: unknown, scope: string, line?: number): Entry {
  const source = { file: context.file, ...(line === undefined ? {} : { line }), scope };
  return { value: bindSecrets(value, context.directory), source, directory: context.directory };
}

/** Make the error for a fault of an inventory. */
export function invalid(
  message: string,
  location: SourceLocation,
  details: { readonly hint?: string; readonly cause?: unknown } = {},
): VolleyError {
  return new VolleyError("INVENTORY_INVALID", printable(message), { location, ...details });
}

/** Return the place of a var. */
export function locationOf({ source: { file, line } }: Entry): SourceLocation {
  return { file, ...(line === undefined ? {} : { line }) };
}

/** Return the name of a group's scope: `all`, `group web`. */
export function groupScope(name: string): string {
  return name === "all" ? "all" : `group ${name}`;
}

/** The precedence of groups, and which groups are below which. */
export interface GroupOrder {
  /** The groups from lowest to highest precedence: by depth, then priority, then name; `all` is first. */
  readonly sorted: readonly DraftGroup[];
  /** For each group those above it, itself and `all` included. */
  readonly ancestors: ReadonlyMap<string, ReadonlySet<string>>;
}

function checkMentions(draft: Draft): void {
  for (const group of draft.groups.values()) {
    if (group.mentioned === null) continue;
    const declared = [...draft.groups.values()]
      .filter(({ mentioned }) => mentioned === null)
      .map(({ name }) => name);
    const message = `there is no group "${group.name}"${didYouMean(group.name, declared)}`;
    throw new VolleyError("INVENTORY_INVALID", message, { location: group.mentioned });
  }
}

function checkCycles(draft: Draft): void {
  const done = new Set<string>();
  const visit = (group: DraftGroup, chain: readonly string[]): void => {
    if (done.has(group.name)) return;
    for (const [child, location] of group.children) {
      const path = [...chain, group.name];
      const start = path.indexOf(child);
      if (start >= 0) {
        const cycle = [...path.slice(start), child].join(" → ");
        throw new VolleyError(
          "INVENTORY_INVALID",
          `groups hold each other in a circle: ${printable(cycle)}`,
          {
            location,
          },
        );
      }
      visit(draft.groups.get(child)!, path);
    }
    done.add(group.name);
  };
  for (const group of draft.groups.values()) visit(group, []);
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Put every group without a parent below `all`, and order groups by precedence. Fail with `INVENTORY_INVALID` for circles and groups that nothing declares. */
export function orderGroups(draft: Draft): GroupOrder {
  checkMentions(draft);
  checkCycles(draft);
  const parents = new Map<string, string[]>();
  for (const group of draft.groups.values()) {
    for (const child of group.children.keys())
      parents.set(child, [...(parents.get(child) ?? []), group.name]);
  }
  const all = draft.groups.get("all")!;
  const named = [...all.children];
  all.children.clear();
  // ansible-inventory shows `ungrouped` first.
  if (!parents.has("ungrouped")) all.children.set("ungrouped", { file: "" });
  for (const [child, location] of named) all.children.set(child, location);
  for (const name of draft.groups.keys()) {
    if (name === "all" || parents.has(name)) continue;
    addChild(all, name, { file: "" });
    parents.set(name, ["all"]);
  }
  const ancestors = new Map<string, ReadonlySet<string>>();
  const depths = new Map<string, number>();
  const place = (name: string): void => {
    if (depths.has(name)) return;
    const above = new Set([name]);
    let depth = 0;
    for (const parent of parents.get(name) ?? []) {
      place(parent);
      for (const ancestor of ancestors.get(parent)!) above.add(ancestor);
      depth = Math.max(depth, depths.get(parent)! + 1);
    }
    ancestors.set(name, above);
    depths.set(name, depth);
  };
  for (const name of draft.groups.keys()) place(name);
  const sorted = [...draft.groups.values()].sort(
    (a, b) =>
      depths.get(a.name)! - depths.get(b.name)! || a.priority - b.priority || compareNames(a.name, b.name),
  );
  return { sorted, ancestors };
}
