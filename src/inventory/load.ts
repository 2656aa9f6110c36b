import { resolve } from "node:path";
import { printable, type VolleyError } from "../core/errors.ts";
import type { Group, Host, Inventory } from "../core/inventory.ts";
import { MACHINE_NAMES } from "../patterns/names.ts";
import { createSecretStore } from "../vars/secrets/store.ts";
import { bareHost, readConnection } from "./connection.ts";
import {
  createDraft,
  type Draft,
  type DraftGroup,
  type Entries,
  type GroupOrder,
  groupScope,
  orderGroups,
} from "./draft.ts";
import { draftOf, extenderOf, membersOf, type OpenDraft } from "./extend.ts";
import { type MergedVars, mergeVars, shownVars } from "./merge.ts";
import { readSource, type SourceOptions } from "./source.ts";
import { groupsOfFiles, readVarsFiles, type VarsFiles, type VarsFilesOptions } from "./vars-files.ts";

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
    for (const host of group.hosts) {
      // Tasks may put this machine into a group, although no source names it.
      const own = memberships.get(host) ?? new Set<string>();
      memberships.set(host, own);
      for (const name of order.ancestors.get(group.name)!) own.add(name);
    }
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

/** Make the hosts that stand for this machine where no source names it: with the vars of `all` and their own files, but in no group unless a task puts them there. */
function buildImplicit(draft: Draft, order: GroupOrder, parts: HostParts): Map<string, Host> {
  const memberships = findMemberships(draft, order);
  const own: Entries = new Map([
    [
      "ansible_connection",
      { value: "local", source: { file: "(implicit)", scope: "this machine" }, directory: "" },
    ],
  ]);
  const names = MACHINE_NAMES.filter((name) => !draft.hosts.has(name) && !draft.groups.has(name));
  return new Map(
    names.map((name) => {
      const common = commonOf(memberships.get(name) ?? new Set(["all"]), order, parts);
      return [name, buildHost(name, own, common, parts)];
    }),
  );
}

/** Merge what the hosts of the same groups share. */
function commonOf(
  member: ReadonlySet<string>,
  order: GroupOrder,
  { files }: HostParts,
): Parameters<typeof buildHost>[2] {
  const groups = order.sorted.filter((group) => member.has(group.name));
  const names = groups.map((group) => group.name);
  return {
    // Nearest first.
    groups: names.slice(1).reverse(),
    scopes: names.map(groupScope),
    merged: mergeVars(null, groupLayers(groups, files)),
  };
}

/** Make the hosts, or those of some names. */
function buildHosts(
  draft: Draft,
  order: GroupOrder,
  parts: HostParts,
  some: Iterable<string> = draft.hosts.keys(),
): Map<string, Host> {
  const memberships = findMemberships(draft, order);
  const shared = new Map<string, Parameters<typeof buildHost>[2]>();
  const hosts = new Map<string, Host>();
  for (const name of some) {
    const own = draft.hosts.get(name);
    if (own === undefined) continue;
    const member = memberships.get(name)!;
    const key = [...member].sort().join(" ");
    const common = shared.get(key) ?? commonOf(member, order, parts);
    shared.set(key, common);
    hosts.set(name, buildHost(name, own, common, parts));
  }
  return hosts;
}

function lockedFiles({ inventory, playbook }: VarsLayers, scopes: readonly string[]): readonly VolleyError[] {
  const sources = [...inventory, ...playbook].filter(({ locked }) => locked.size > 0);
  return sources.flatMap(({ locked }) => scopes.flatMap((scope) => locked.get(scope) ?? []));
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
      const members = membersOf(draft, group);
      // This machine is in `all` only where a source names it.
      const own = name === "all" ? members.filter((host) => draft.hosts.has(host)) : members;
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
  const wanted: VarsFilesOptions = {
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
  const readAll = async (what: VarsFilesOptions): Promise<VarsLayers> => {
    const [inventory, playbook] = await Promise.all(
      [[...directories], besidePlaybook].map((some) =>
        Promise.all(some.map((directory) => readVarsFiles(directory, what))),
      ),
    );
    return { inventory: inventory!, playbook: playbook! };
  };
  const shared = [...draft.groups.keys()].filter((name) => draft.hosts.has(name));
  const warnings = [
    ...notes,
    ...shared.map(
      (name) => `a host and a group are both called ${printable(name)}: in patterns it is the group`,
    ),
  ];
  const { extraVars, connection: defaultConnection } = options;
  const parts = { files: await readAll(wanted), extraVars, playbookDirectory, defaultConnection };
  const inventory = buildInventory(draft, order, parts, {
    paths,
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(notes.length === 0 ? {} : { passedOver: notes }),
  });
  const named = [...directories, ...besidePlaybook].flatMap((directory) => groupsOfFiles(directory, cwd));
  return {
    ...inventory,
    spareVars: new Set(named.filter((name) => !draft.groups.has(name))),
    extend: extenderOf(
      openDraft(draft, parts, (groups, host) =>
        readAll({ ...wanted, groups, hosts: new Set([host]), isConcerned: () => true }),
      ),
      inventory,
      playbookDirectory ?? cwd,
    ),
  };
}

function buildInventory(
  draft: Draft,
  order: GroupOrder,
  parts: HostParts,
  rest: Omit<Inventory, "hosts" | "groups">,
): Inventory {
  return {
    ...rest,
    hosts: buildHosts(draft, order, parts),
    implicit: buildImplicit(draft, order, parts),
    groups: buildGroups(draft, parts.files),
  };
}

/** Let an inventory that was made without sources be extended: its hosts keep their vars as they are. */
export function extendMade(inventory: Inventory, directory: string): NonNullable<Inventory["extend"]> {
  const files: VarsLayers = { inventory: [], playbook: [] };
  const parts = { files, extraVars: undefined, playbookDirectory: directory, defaultConnection: undefined };
  const open = openDraft(draftOf(inventory, directory), parts, async () => files);
  return extenderOf(open, inventory, directory);
}

/** Make a draft ready to be added to. `read` reads the vars files of new groups and of a host. */
function openDraft(
  draft: Draft,
  first: HostParts,
  read: (groups: ReadonlySet<string>, host: string) => Promise<VarsLayers>,
): OpenDraft {
  let parts = first;
  return {
    draft,
    readFiles: async (groups, host) => {
      const { inventory, playbook } = await read(groups, host);
      const join = (known: readonly VarsFiles[], found: readonly VarsFiles[]): VarsFiles[] =>
        known.map((each, index) => joinFiles(each, found[index]));
      const { files } = parts;
      parts = {
        ...parts,
        files: { inventory: join(files.inventory, inventory), playbook: join(files.playbook, playbook) },
      };
    },
    build: (before, some) => {
      const order = orderGroups(draft);
      placeUngrouped(draft);
      return {
        ...before,
        hosts: new Map([...before.hosts, ...buildHosts(draft, order, parts, some)]),
        implicit: buildImplicit(draft, order, parts),
        groups: buildGroups(draft, parts.files),
      };
    },
  };
}

function joinFiles(known: VarsFiles, found: VarsFiles | undefined): VarsFiles {
  return {
    groups: new Map([...(found?.groups ?? []), ...known.groups]),
    hosts: new Map([...(found?.hosts ?? []), ...known.hosts]),
    locked: new Map([...(found?.locked ?? []), ...known.locked]),
  };
}
