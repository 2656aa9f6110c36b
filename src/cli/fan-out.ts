import type { Reached } from "../controller/prepare/reach.ts";
import { becomeWay } from "../controller/prepare/reach.ts";
import { openTransports } from "../controller/prepare/transports.ts";
import { isVolleyError } from "../core/errors.ts";
import type { Group, Host, Inventory } from "../core/inventory.ts";
import { findSecrets } from "../core/secret.ts";
import type { Become } from "../core/unix/users.ts";
import { type LoadInventoryOptions, loadInventory } from "../inventory/load.ts";
import { limitHosts, nobodyLeft, selectHosts } from "../inventory/select.ts";
import { parseNodeSet } from "../patterns/names.ts";
import { createSecretStore, resolveVars, type SecretStore } from "../vars/secrets/store.ts";
import {
  type BecomeFlags,
  becomeOptions,
  type ConnectionFlags,
  type InventoryFlags,
  inventoryPaths,
  reachOptions,
  type SecretFlags,
  secretOptions,
} from "./options.ts";
import { expandLimit } from "./run/runs.ts";
import { askPassphrase, printWarning } from "./terminal.ts";

/** A host as a fan-out works on it. */
export interface FanOutTarget extends Reached {
  readonly name: string;
  readonly become: Become | null;
}

/** The hosts of a command without a playbook, none of them reached yet. */
export interface FanOutPlan {
  readonly hosts: readonly Host[];
  /** Open transports, ask for passphrases and unknown host keys, and print notes to stderr. Fails with `USAGE`. */
  open(signal: AbortSignal): Promise<{ readonly targets: readonly FanOutTarget[]; close(): void }>;
}

/**
 * Select the hosts that `exec`, `put`, `get` or `shell` names, and ask for the passwords they need. Fails with
 * `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`.
 */
export async function planFanOut(
  pattern: string | undefined,
  flags: InventoryFlags & ConnectionFlags & BecomeFlags & SecretFlags,
): Promise<FanOutPlan> {
  const secrets = createSecretStore({ ...secretOptions(flags), cwd: process.cwd(), ask: askPassphrase });
  const selected = await hostsToWorkOn(pattern, flags, secrets);
  const hosts = await Promise.all(selected.map((host) => withPasswords(host, secrets)));
  const become = await becomeOptions(flags);
  const becomeOn = (host: Host): Become | null => {
    const user = becomeUserOf(host, flags);
    return user === null ? null : { ...becomeWay(host, become), user };
  };
  return {
    hosts,
    open: async (signal) => {
      const transports = await openTransports(hosts, await reachOptions(flags), signal);
      for (const { host, text } of transports.notes) process.stderr.write(`${host}: ${text}\n`);
      try {
        const targets = hosts.map((host) => ({
          name: host.name,
          become: becomeOn(host),
          ...transports.of(host),
        }));
        return { targets, close: transports.close };
      } catch (thrown) {
        transports.close();
        throw thrown;
      }
    },
  };
}

/**
 * Select hosts in the pattern's order. Without an inventory the pattern's names are the hosts, and ssh_config tells how
 * to reach them. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`.
 */
export async function hostsToWorkOn(
  wanted: string | undefined,
  flags: InventoryFlags,
  secrets: SecretStore,
): Promise<readonly Host[]> {
  const pattern = await expandLimit(wanted ?? "all");
  const limit = await expandLimit(flags.limit);
  const select = (inventory: Inventory): readonly Host[] => {
    const selected = selectHosts(inventory, pattern);
    return limit === undefined ? selected : limitHosts(selected, inventory, limit, { cwd: process.cwd() });
  };
  const names = wanted === undefined ? (limit ?? pattern) : pattern;
  const inventory = await openInventory(flags, names, { secrets, concerned: select });
  for (const warning of inventory.warnings ?? []) printWarning(warning);
  const found = select(inventory);
  if (found.length === 0) throw nobodyLeft([pattern], limit, inventory);
  // A file that stays closed may hold how to reach the host.
  for (const { locked = [] } of found) for (const why of locked) throw why;
  return found;
}

async function openInventory(
  flags: InventoryFlags,
  names: string,
  how: Pick<LoadInventoryOptions, "secrets" | "concerned">,
): Promise<Inventory> {
  let paths: readonly string[];
  try {
    paths = inventoryPaths(flags);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "INVENTORY_MISSING" || !isNodeSet(names)) throw thrown;
    paths = [`${parseNodeSet(names).join(",")},`];
  }
  return loadInventory(paths, {
    ...how,
    cwd: process.cwd(),
    // The TypeScript compiler takes longer to load than most commands take.
    loadModule: async (file) => (await import("../controller/prepare/read.ts")).loadInventoryModule(file),
  });
}

/** Return whether a text can only be names of hosts: `all`, globs and `:!` refer to an inventory. */
function isNodeSet(text: string): boolean {
  return text !== "all" && !/[*?~@]|:[&!]|^[&!]|^all[[:,]/.test(text);
}

/** Open a host's secrets if a var holds a password to log in or become a user; other secrets are not needed. */
async function withPasswords(host: Host, secrets: SecretStore): Promise<Host> {
  const own = Object.entries(host.vars).filter(([name]) => name.startsWith("ansible_"));
  if (!own.some(([name, value]) => /pass/.test(name) && value !== "") || findSecrets(host.vars).length === 0)
    return host;
  const { vars } = await resolveVars(
    host.vars,
    { name: `host ${host.name}`, locate: () => undefined },
    secrets,
  );
  return { ...host, vars };
}

/** Return the user to become on a host: the command line comes before the inventory. Null: the login user. */
function becomeUserOf(
  host: Host,
  { become, becomeUser }: Pick<BecomeFlags, "become" | "becomeUser">,
): string | null {
  return becomeUser ?? (become === true ? "root" : (host.connection.become ?? null));
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
