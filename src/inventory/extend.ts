import type { Addition, Extended, Inventory } from "../core/inventory.ts";
import { bindSecrets } from "../core/secret.ts";
import type { Vars } from "../core/values/vars.ts";
import {
  addChild,
  createDraft,
  type Draft,
  type DraftGroup,
  type Entries,
  groupOfTask,
  invalid,
} from "./draft.ts";

// Hosts and groups that tasks of a run add to an inventory.

/** A draft that an inventory is made of, again after each addition. */
export interface OpenDraft {
  readonly draft: Draft;
  /** Read the vars files of new groups and of a host. */
  readFiles(groups: ReadonlySet<string>, host: string): Promise<void>;
  /** Make the inventory anew, or only these hosts of it. */
  build(before: Inventory, some: readonly string[]): Inventory;
}

/** Make the `extend` of an inventory. `directory`: relative paths in vars of tasks begin there. */
export function extenderOf(
  { draft, readFiles, build }: OpenDraft,
  first: Inventory,
  directory: string,
): NonNullable<Inventory["extend"]> {
  let latest = first;
  let last: Promise<unknown> = Promise.resolve();
  const extend = async ({ host, groups, parents = [], vars }: Addition): Promise<Extended> => {
    const isFresh = !draft.hosts.has(host) && latest.implicit?.has(host) !== true;
    const fresh = new Set([...groups, ...parents].filter((name) => !draft.groups.has(name)));
    if (isFresh || fresh.size > 0) await readFiles(fresh, host);
    const made = groups.map((name) => groupOfTask(draft, name));
    const above = parents.map((name) => groupOfTask(draft, name));
    for (const group of made)
      for (const parent of above)
        if (parent !== group && groupsBelow(draft, group).has(parent))
          throw invalid(`group ${parent.name} is below ${group.name} already`, { file: "group_by" });
    const movesAll = made.some(({ name }) =>
      above.some((parent) => parent.name !== name && !parent.children.has(name)),
    );
    for (const parent of above)
      for (const { name } of made) if (parent.name !== name) addChild(parent, name, { file: "group_by" });
    for (const group of made) group.hosts.add(host);
    if (isFresh) draft.hosts.set(host, new Map());
    addVars(draft.hosts.get(host), host, vars, directory);
    const changed = movesAll
      ? [...new Set([host, ...made.flatMap((group) => membersOf(draft, group))])]
      : [host];
    latest = build(latest, changed);
    return { inventory: latest, changed };
  };
  return (addition) => {
    // Each builds on the one before it.
    const next = last.then(() => extend(addition));
    last = next.catch(() => {});
    return next;
  };
}

function addVars(own: Entries | undefined, host: string, vars: Vars, directory: string): void {
  const source = { file: "add_host", scope: `host ${host}` };
  for (const [name, value] of Object.entries(vars)) own?.set(name, { value, source, directory });
}

/** Return a group with all that are below it. */
export function groupsBelow(draft: Draft, group: DraftGroup): ReadonlySet<DraftGroup> {
  const groups = new Set([group]);
  // A Set is iterated to the end even as it grows.
  for (const { children } of groups)
    for (const child of children.keys()) groups.add(draft.groups.get(child)!);
  return groups;
}

/** Return a group's hosts in Ansible's order: its own, then those of its children, then of theirs. */
export function membersOf(draft: Draft, group: DraftGroup): readonly string[] {
  return [...new Set([...groupsBelow(draft, group)].flatMap(({ hosts }) => [...hosts]))];
}

/** Make a draft of an inventory whose sources are not known: the vars of its hosts are merged already. */
export function draftOf({ groups, hosts }: Inventory, directory: string): Draft {
  const draft = createDraft();
  const entriesOf = (vars: Vars, scope: string): Entries =>
    new Map(
      Object.entries(vars).map(([name, value]) => [
        name,
        { value: bindSecrets(value, directory), source: { file: "", scope }, directory },
      ]),
    );
  for (const { name, children, directHosts, vars } of groups.values()) {
    const group = groupOfTask(draft, name);
    for (const host of directHosts) group.hosts.add(host);
    for (const child of children) addChild(group, child, { file: "" });
    for (const [key, entry] of entriesOf(vars, `group ${name}`)) group.vars.set(key, entry);
  }
  for (const { name, vars } of hosts.values()) draft.hosts.set(name, entriesOf(vars, `host ${name}`));
  return draft;
}
