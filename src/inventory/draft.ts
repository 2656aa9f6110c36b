import { didYouMean, type SourceLocation, VolleyError } from "../core/errors.ts";
import type { VarSource } from "../core/inventory.ts";
import { bindSecrets } from "../core/secret.ts";
import { printable } from "../core/text.ts";
import { checkGroupName, parseHostName } from "./names.ts";

/** One var as it was written. */
export interface Entry {
  readonly value: unknown;
  readonly source: VarSource;
  /** Absolute; what a relative path in the value is relative to. */
  readonly directory: string;
}

/** Vars of one group or host, by name. */
export type Entries = Map<string, Entry>;

/** A group while inventories are being read. */
export interface DraftGroup {
  readonly name: string;
  readonly hosts: Set<string>;
  /** With the place that names them as children. */
  readonly children: Map<string, SourceLocation>;
  readonly vars: Entries;
  /** Ansible's `ansible_group_priority`: among groups of one depth, the higher wins. */
  priority: number;
  /** Null once something declares it; else the place that first mentions it. */
  mentioned: SourceLocation | null;
}

/** An inventory while it is being read: several sources add to one draft. */
export interface Draft {
  readonly groups: Map<string, DraftGroup>;
  /** Host vars by host, in the inventory's order. */
  readonly hosts: Map<string, Entries>;
}

/** Where a reader is reading, and what it adds to. */
export interface ReadContext {
  readonly draft: Draft;
  /** As people are shown it. */
  readonly file: string;
  /** Absolute; what relative paths in it are relative to. */
  readonly directory: string;
}

/** A draft that holds `all` and `ungrouped` and nothing else. */
export function createDraft(): Draft {
  const draft: Draft = { groups: new Map(), hosts: new Map() };
  declareGroup(draft, "all", { file: "" });
  declareGroup(draft, "ungrouped", { file: "" });
  return draft;
}

/** The group of this name, made when it is new, without declaring it: naming one that nothing declares is an error in the end. */
export function mentionGroup(draft: Draft, name: string, location: SourceLocation): DraftGroup {
  const known = draft.groups.get(name);
  if (known !== undefined) return known;
  checkGroupName(name, location);
  const group: DraftGroup = {
    name,
    hosts: new Set(),
    children: new Map(),
    vars: new Map(),
    priority: 1,
    mentioned: location,
  };
  draft.groups.set(name, group);
  return group;
}

/** Declares a group. Fails with `INVENTORY_INVALID` when the name will not do. */
export function declareGroup(draft: Draft, name: string, location: SourceLocation): DraftGroup {
  const isNew = !draft.groups.has(name);
  const group = mentionGroup(draft, name, location);
  if (!isNew && group.mentioned !== null) {
    // As in Ansible a group has its place, among all and among its siblings, from where it is declared.
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

/** Puts one group below another. */
export function addChild(parent: DraftGroup, child: string, location: SourceLocation): void {
  if (!parent.children.has(child)) parent.children.set(child, location);
}

/** Sets a var of a group; `ansible_group_priority` is kept apart, as Ansible does. Fails when that is no whole number. */
export function setGroupVar(group: DraftGroup, name: string, entry: Entry): void {
  if (name !== "ansible_group_priority") {
    group.vars.set(name, entry);
    return;
  }
  const { value } = entry;
  const priority = typeof value === "object" ? Number.NaN : Number(value);
  if (!Number.isInteger(priority)) {
    const { file, line } = entry.source;
    throw new VolleyError(
      "INVENTORY_INVALID",
      `ansible_group_priority of group ${group.name} must be a whole number`,
      {
        location: { file, ...(line === undefined ? {} : { line }) },
      },
    );
  }
  group.priority = priority;
}

/** Adds the hosts one written name stands for to a group, and gives back their vars to be filled. */
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

/** A var as it is written here. */
export function entry(context: ReadContext, value: unknown, scope: string, line?: number): Entry {
  const source = { file: context.file, ...(line === undefined ? {} : { line }), scope };
  return { value: bindSecrets(value, context.directory), source, directory: context.directory };
}

/** How a group's scope is called: `all`, `group web`. */
export function groupScope(name: string): string {
  return name === "all" ? "all" : `group ${name}`;
}

/** How the groups of an inventory hang together. */
export interface GroupOrder {
  /** From lowest to highest precedence: by depth, then priority, then name; `all` first. */
  readonly sorted: readonly DraftGroup[];
  /** The groups each is below, itself and `all` included. */
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

/** Puts every group without a parent below `all`, and orders groups by precedence. Fails with `INVENTORY_INVALID` for circles and groups that nothing declares. */
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
  // First, as ansible-inventory shows it.
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
