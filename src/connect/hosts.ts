import type { Group, Host, Inventory } from "../core/inventory.ts";
import { findSecrets } from "../core/secret.ts";
import { loadInventory } from "../inventory/load.ts";
import { limitHosts, nobodyLeft, selectHosts } from "../inventory/select.ts";
import { parseNodeSet } from "../patterns/names.ts";
import { resolveVars, type SecretStore } from "../vars/secrets/store.ts";

/** The hosts to work on without a playbook. */
export interface HostQuery {
  /** Default: the limit, else all hosts. */
  readonly pattern: string | undefined;
  readonly limit: string | undefined;
  /**
   * The inventories to read. Undefined: there is none, and names in the pattern are the hosts, which ssh_config tells how
   * to reach. Called with whether that is possible; throws what is wrong where it is not.
   */
  inventories(areNames: boolean): readonly string[] | Inventory | undefined;
  /** The connection of hosts that say nothing of it, in inventories that are read. Default: `ssh`. */
  readonly connection: string | undefined;
  readonly secrets: SecretStore;
  readonly cwd: string;
}

/** Hosts, and the inventory that they are from. */
export interface FoundHosts {
  readonly inventory: Inventory;
  readonly hosts: readonly Host[];
}

/** Select hosts in the pattern's order. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`. */
export async function findHosts(query: HostQuery): Promise<FoundHosts> {
  const { pattern: wanted, limit, cwd } = query;
  const pattern = wanted ?? "all";
  const select = (inventory: Inventory): readonly Host[] => {
    const selected = selectHosts(inventory, pattern);
    return limit === undefined ? selected : limitHosts(selected, inventory, limit, { cwd });
  };
  const inventory = await openInventory(query, wanted === undefined ? (limit ?? pattern) : pattern, select);
  const hosts = select(inventory);
  if (hosts.length === 0) throw nobodyLeft([pattern], limit, inventory);
  // A file that stays closed may hold how to reach the host.
  for (const { locked = [] } of hosts) for (const why of locked) throw why;
  return { inventory, hosts };
}

async function openInventory(
  { inventories, connection, secrets, cwd }: HostQuery,
  names: string,
  concerned: (inventory: Inventory) => readonly Host[],
): Promise<Inventory> {
  const areNames = isNodeSet(names);
  const given = inventories(areNames) ?? [`${parseNodeSet(names).join(",")},`];
  if ("hosts" in given) return given;
  return loadInventory(given, {
    secrets,
    concerned,
    cwd,
    ...(connection === undefined ? {} : { connection }),
    // The TypeScript compiler takes longer to load than most commands take.
    loadModule: async (file) => (await import("../controller/prepare/read.ts")).loadInventoryModule(file),
  });
}

/** Return whether a text can only be names of hosts: `all`, globs and `:!` refer to an inventory. */
export function isNodeSet(text: string): boolean {
  return text !== "all" && !/[*?~@]|:[&!]|^[&!]|^all[[:,]/.test(text);
}

/** A host whose vars about reaching it are open. */
export interface OpenedHost {
  readonly host: Host;
  /** The texts to mask in all that is told of the host. */
  readonly secretTexts: readonly string[];
}

/** Open a host's secrets if a var holds a password to log in or become a user; other secrets are not needed. */
export async function withPasswords(host: Host, secrets: SecretStore): Promise<OpenedHost> {
  const own = Object.entries(host.vars).filter(([name]) => name.startsWith("ansible_"));
  const passwords = own.filter(([name, value]) => /pass/.test(name) && value !== "");
  if (passwords.length === 0) return { host, secretTexts: [] };
  const clear = passwords.flatMap(([, value]) => (typeof value === "string" ? [value] : []));
  if (findSecrets(host.vars).length === 0) return { host, secretTexts: clear };
  const owner = { name: `host ${host.name}`, locate: () => undefined };
  const { vars, secretTexts } = await resolveVars(host.vars, owner, secrets);
  return { host: { ...host, vars }, secretTexts: [...clear, ...Object.values(secretTexts).flat()] };
}

/** Return the groups of hosts. */
export function groupsOf(hosts: readonly Host[]): readonly string[] {
  return [...new Set(hosts.flatMap(({ groups }) => groups))];
}

/**
 * Return the names of those hosts that a pattern or a node set selects. Selecting other hosts of the inventory as well is
 * no mistake. Fails with `PATTERN_UNKNOWN`.
 */
export function selectAmong(hosts: readonly Host[], pattern: string): readonly string[] {
  const names = new Set(hosts.map(({ name }) => name));
  try {
    const nodes = parseNodeSet(pattern);
    // These characters mean different things in a pattern and in a node set.
    if (nodes.length > 0 && !/[!&^:]/.test(pattern) && nodes.every((name) => names.has(name))) return nodes;
  } catch {
    // The text is a pattern.
  }
  return selectHosts(inventoryOf(hosts), pattern)
    .map(({ name }) => name)
    .filter((name) => names.has(name));
}

function inventoryOf(hosts: readonly Host[]): Inventory {
  const group = (name: string, members: readonly Host[]): [string, Group] => {
    const own = members.map((member) => member.name);
    return [name, { name, hosts: own, directHosts: own, children: [], vars: {} }];
  };
  const groups = groupsOf(hosts).map((name) =>
    group(
      name,
      hosts.filter((host) => host.groups.includes(name)),
    ),
  );
  return {
    hosts: new Map(hosts.map((host) => [host.name, host])),
    groups: new Map([group("all", hosts), ...groups]),
    paths: [],
  };
}
