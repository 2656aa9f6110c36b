import { resolve } from "node:path";
import { printable, type VolleyError } from "../core/errors.ts";
import type { Group, Host, Inventory, OverriddenVar, VarSource } from "../core/inventory.ts";
import { createSecretStore } from "../vars/secrets/store.ts";
import { bareHost, MACHINE_NAMES, readConnection } from "./connection.ts";
import {
  createDraft,
  type Draft,
  type DraftGroup,
  type Entries,
  type Entry,
  type GroupOrder,
  groupScope,
  invalid,
  locationOf,
  orderGroups,
} from "./draft.ts";
import { readSource, type SourceOptions } from "./source.ts";
import { readVarsFiles, type VarsFiles } from "./vars-files.ts";

/** The options of {@link loadInventory}. */
export interface LoadInventoryOptions extends SourceOptions {
  /** The playbook's directory, whose `group_vars` and `host_vars` win over the inventory's. */
  readonly playbookDirectory?: string;
  /**
   * Return the hosts whose vars are needed, given an outline that has groups only: encrypted vars files of other hosts
   * stay closed. Called only when a file is encrypted. Default: all hosts.
   */
  readonly concerned?: (outline: Inventory) => readonly Host[];
  /** The connection of hosts that say nothing of it. Default: `ssh`. */
  readonly connection?: string;
}

interface VarsLayers {
  readonly inventory: readonly VarsFiles[];
  readonly playbook: readonly VarsFiles[];
}

/** Return all vars of groups in Ansible's order: inventory files first, `group_vars` over them, `all` below every other group. */
function groupLayers(groups: readonly DraftGroup[], files: VarsLayers): (Entries | undefined)[] {
  const [all, rest] = [groups.slice(0, 1), groups.slice(1)];
  const from = (sources: readonly VarsFiles[], some: readonly DraftGroup[]): (Entries | undefined)[] =>
    sources.flatMap((source) => some.map(({ name }) => source.groups.get(name)));
  return [
    ...groups.map(({ vars }) => vars),
    ...from(files.inventory, all),
    ...from(files.playbook, all),
    ...from(files.inventory, rest),
    ...from(files.playbook, rest),
  ];
}

function placeUngrouped(draft: Draft): void {
  const grouped = new Set<string>();
  const ungrouped = draft.groups.get("ungrouped")!;
  for (const group of draft.groups.values()) {
    if (group.name !== "all" && group !== ungrouped) for (const host of group.hosts) grouped.add(host);
  }
  for (const host of draft.hosts.keys()) {
    if (grouped.has(host)) ungrouped.hosts.delete(host);
    else ungrouped.hosts.add(host);
  }
}

/** Return the groups of each host, `all` included. */
function findMemberships(draft: Draft, order: GroupOrder): ReadonlyMap<string, ReadonlySet<string>> {
  const memberships = new Map([...draft.hosts.keys()].map((host) => [host, new Set(["all"])]));
  for (const group of draft.groups.values()) {
    for (const host of group.hosts)
      for (const name of order.ancestors.get(group.name)!) memberships.get(host)!.add(name);
  }
  return memberships;
}

/** Return the scopes of the hosts whose vars are needed. */
function findScopes(
  draft: Draft,
  order: GroupOrder,
  concerned: NonNullable<LoadInventoryOptions["concerned"]>,
): ReadonlySet<string> {
  const hosts = new Map(
    [...findMemberships(draft, order)].map(([name, groups]) => [
      name,
      bareHost(
        name,
        "ssh",
        [...groups].filter((group) => group !== "all"),
      ),
    ]),
  );
  const outline = { hosts, groups: buildGroups(draft, { inventory: [], playbook: [] }), paths: [] };
  const some = concerned(outline);
  return new Set([
    groupScope("all"),
    ...some.flatMap(({ name, groups }) => [`host ${name}`, ...groups.map(groupScope)]),
  ]);
}

/** The parts of a host that its name and groups do not give. */
interface HostParts {
  readonly files: VarsLayers;
  readonly extraVars: Entries | undefined;
  readonly playbookDirectory: string | undefined;
  readonly defaultConnection: string | undefined;
}

/** Make a host of its own vars and the merged ones of its groups. */
function buildHost(
  name: string,
  own: Entries,
  common: {
    readonly groups: readonly string[];
    readonly scopes: readonly string[];
    readonly merged: MergedVars;
  },
  { files, extraVars, ...rest }: HostParts,
): Host {
  const fromFiles = [...files.inventory, ...files.playbook].map((source) => source.hosts.get(name));
  const merged = mergeVars(common.merged, [own, ...fromFiles, extraVars]);
  const locked = lockedFiles(files, [...common.scopes, `host ${name}`]);
  return {
    name,
    connection: readConnection({ host: name, vars: merged.winners, ...rest }),
    ...shownVars(merged),
    groups: common.groups,
    ...(locked.length === 0 ? {} : { locked }),
  };
}

/** Make the hosts that stand for this machine where no source names it: with the vars of `all` and their own files, but in no group. */
function buildImplicit(draft: Draft, order: GroupOrder, parts: HostParts): Map<string, Host> {
  const all = order.sorted.slice(0, 1);
  const common = {
    groups: [],
    scopes: [groupScope("all")],
    merged: mergeVars(null, groupLayers(all, parts.files)),
  };
  const own: Entries = new Map([
    [
      "ansible_connection",
      { value: "local", source: { file: "(implicit)", scope: "this machine" }, directory: "" },
    ],
  ]);
  const names = MACHINE_NAMES.filter((name) => !draft.hosts.has(name) && !draft.groups.has(name));
  return new Map(names.map((name) => [name, buildHost(name, own, common, parts)]));
}

function buildHosts(draft: Draft, order: GroupOrder, parts: HostParts): Map<string, Host> {
  const memberships = findMemberships(draft, order);
  const shared = new Map<string, Parameters<typeof buildHost>[2]>();
  const hosts = new Map<string, Host>();
  for (const [name, own] of draft.hosts) {
    const member = memberships.get(name)!;
    const groups = order.sorted.filter((group) => member.has(group.name));
    const key = groups.map((group) => group.name).join(" ");
    let common = shared.get(key);
    if (common === undefined) {
      const nearestFirst = groups
        .map((group) => group.name)
        .slice(1)
        .reverse();
      common = {
        groups: nearestFirst,
        scopes: groups.map((group) => groupScope(group.name)),
        merged: mergeVars(null, groupLayers(groups, parts.files)),
      };
      shared.set(key, common);
    }
    hosts.set(name, buildHost(name, own, common, parts));
  }
  return hosts;
}

function lockedFiles({ inventory, playbook }: VarsLayers, scopes: readonly string[]): readonly VolleyError[] {
  const sources = [...inventory, ...playbook].filter(({ locked }) => locked.size > 0);
  return sources.flatMap(({ locked }) => scopes.flatMap((scope) => locked.get(scope) ?? []));
}

/** Return a group's hosts in Ansible's order: its own, then those of its children, then of theirs. */
function membersOf(draft: Draft, group: DraftGroup): readonly string[] {
  const members = new Set<string>();
  const groups = new Set([group]);
  // A Set is iterated to the end even as it grows.
  for (const { hosts, children } of groups) {
    for (const host of hosts) members.add(host);
    for (const child of children.keys()) groups.add(draft.groups.get(child)!);
  }
  return [...members];
}

function buildGroups(draft: Draft, files: VarsLayers): Map<string, Group> {
  return new Map(
    [...draft.groups.values()].map((group) => {
      const { name } = group;
      const layers = [
        group.vars,
        ...[...files.inventory, ...files.playbook].map((source) => source.groups.get(name)),
      ];
      const { vars } = shownVars(mergeVars(null, layers));
      const directHosts = name === "all" ? [] : [...group.hosts];
      const own = membersOf(draft, group);
      return [name, { name, hosts: own, directHosts, children: [...group.children.keys()], vars }];
    }),
  );
}

/**
 * Read inventories and merge them, later ones over earlier ones. Each is a file (YAML, INI, TypeScript, an
 * executable), a directory of those, or a list such as `web1,web2:2222,`.
 *
 * The nearest place that sets a var wins, in Ansible's order, lowest first: vars of groups in inventory
 * files (`all`, then by depth, `ansible_group_priority` and name); `group_vars/all` beside the inventory, then
 * beside the playbook; other `group_vars` beside the inventory, then beside the playbook; vars of the host in
 * inventory files; `host_vars` beside the inventory, then beside the playbook.
 *
 * Secrets in vars stay stand-ins; see src/vars/secrets. Files that are encrypted as a whole are decrypted; a vars file
 * that cannot be decrypted, or that no needed host uses, is listed in `locked` of its hosts.
 *
 * Fail with `INVENTORY_MISSING` or `INVENTORY_INVALID`, with the file and, for YAML and INI, the line.
 */
export async function loadInventory(
  paths: readonly string[],
  options: LoadInventoryOptions,
): Promise<Inventory> {
  const { cwd } = options;
  const secrets =
    options.secrets ??
    createSecretStore({ cwd, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  const draft = createDraft();
  const notes: string[] = [];
  const directories = new Set<string>();
  for (const path of paths) {
    const passedOver = (why: string): void => void notes.push(why);
    const directory = await readSource(draft, path, { ...options, secrets, passedOver });
    if (directory !== null) directories.add(directory);
  }
  const order = orderGroups(draft);
  placeUngrouped(draft);
  const { concerned } = options;
  let scopes: ReadonlySet<string> | undefined;
  const isConcerned = (scope: string): boolean => {
    if (concerned === undefined) return true;
    scopes ??= findScopes(draft, order, concerned);
    return scopes.has(scope);
  };
  const wanted = {
    groups: new Set(draft.groups.keys()),
    hosts: new Set([...draft.hosts.keys(), ...MACHINE_NAMES]),
    cwd,
    secrets,
    isConcerned,
  };
  const playbookDirectory =
    options.playbookDirectory === undefined ? undefined : resolve(cwd, options.playbookDirectory);
  const besidePlaybook =
    playbookDirectory === undefined || directories.has(playbookDirectory) ? [] : [playbookDirectory];
  const [inventory, playbook] = await Promise.all(
    [[...directories], besidePlaybook].map((some) =>
      Promise.all(some.map((directory) => readVarsFiles(directory, wanted))),
    ),
  );
  const files: VarsLayers = { inventory: inventory!, playbook: playbook! };
  const parts: HostParts = {
    files,
    extraVars: options.extraVars,
    playbookDirectory,
    defaultConnection: options.connection,
  };
  const shared = [...draft.groups.keys()].filter((name) => draft.hosts.has(name));
  const warnings = [
    ...notes,
    ...shared.map(
      (name) => `a host and a group are both called ${printable(name)}: in patterns it is the group`,
    ),
  ];
  return {
    hosts: buildHosts(draft, order, parts),
    implicit: buildImplicit(draft, order, parts),
    groups: buildGroups(draft, files),
    paths,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** Vars merged from many places: the last place that sets one wins. */
interface MergedVars {
  readonly winners: Map<string, Entry>;
  /** The values that lost, nearest first. */
  readonly losers: Map<string, readonly Entry[]>;
}

/** Merge layers over a base, which stays unchanged. As in Ansible, a value replaces another as a whole. */
function mergeVars(base: MergedVars | null, layers: Iterable<Entries | undefined>): MergedVars {
  const winners = new Map(base?.winners);
  const losers = new Map(base?.losers);
  for (const layer of layers) {
    if (layer === undefined) continue;
    for (const [name, entry] of layer) {
      const before = winners.get(name);
      if (before !== undefined) losers.set(name, [before, ...(losers.get(name) ?? [])]);
      winners.set(name, entry);
    }
  }
  return { winners, losers };
}

/** Return merged vars as a host has them. */
function shownVars({ winners, losers }: MergedVars): {
  readonly vars: Readonly<Record<string, unknown>>;
  readonly sources: Readonly<Record<string, VarSource>>;
  readonly overridden: Readonly<Record<string, readonly OverriddenVar[]>>;
} {
  const vars: [string, unknown][] = [];
  const sources: [string, VarSource][] = [];
  for (const [name, entry] of winners) {
    if (name === "__proto__") throw invalid(`no var can be called ${name}`, locationOf(entry));
    vars.push([name, entry.value]);
    sources.push([name, entry.source]);
  }
  const overridden = [...losers].map(
    ([name, entries]) => [name, entries.map(({ value, source }) => ({ value, source }))] as const,
  );
  return {
    vars: Object.fromEntries(vars),
    sources: Object.fromEntries(sources),
    overridden: Object.fromEntries(overridden),
  };
}
