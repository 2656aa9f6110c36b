import { printable, VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { machineHostNames } from "../system/host-names.ts";
import { limitHosts, selectHosts } from "./select.ts";

// The host of an inventory that is this machine, for runs on this machine alone.

const MAX_NAMED = 5;

/**
 * Find the host that is this machine: the one that the limit names, else the one with the machine's host name, else
 * `localhost`, else the only one. Fails with `PATTERN_UNKNOWN` for none, and for a limit that names several.
 */
function findThisMachine(inventory: Inventory, limit: string | undefined, cwd: string): Host {
  if (limit !== undefined) {
    const found = limitHosts(selectHosts(inventory, "all,localhost"), inventory, limit, { cwd });
    if (found.length === 1) return found[0]!;
    const asked = `-l "${printable(limit, 300)}"`;
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      found.length === 0
        ? `${asked} names no host of the inventory`
        : `--local works on one host, and ${asked} names ${named(found.map(({ name }) => name))}`,
      { hint: "name with -l the host that this machine is" },
    );
  }
  const { hosts } = inventory;
  const names = machineHostNames();
  const [only, ...others] = hosts.values();
  const found =
    [...names, "localhost"].map((name) => hosts.get(name)).find((host) => host !== undefined) ??
    (others.length === 0 ? only : undefined);
  if (found !== undefined) return found;
  throw new VolleyError("PATTERN_UNKNOWN", `the inventory has no host ${names.join(" or ")}, nor localhost`, {
    hint: `name with -l the host that this machine is${hosts.size === 0 ? "" : `: ${named([...hosts.keys()])}`}`,
  });
}

function named(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** An inventory of which one host is this machine. */
export interface NarrowedInventory {
  readonly inventory: Inventory;
  readonly name: string;
  /** The inventory for patterns: that host is also called by the machine's host name. */
  readonly forPatterns: Inventory;
}

/** Let one host of an inventory, see {@link findThisMachine}, be this machine, whatever its vars say of connections. */
export function narrowToThisMachine(
  inventory: Inventory,
  limit: string | undefined,
  cwd: string,
): NarrowedInventory {
  const host = findThisMachine(inventory, limit, cwd);
  const { name } = host;
  const { refused: _refused, ...connection } = host.connection;
  const here: Host = {
    ...host,
    // Plays say a connection only where this var does not.
    vars: { ...host.vars, ansible_connection: "local" },
    connection: { ...connection, connection: "local" },
  };
  const isKnown = inventory.hosts.has(name);
  const narrowed: Inventory = isKnown
    ? { ...inventory, hosts: new Map(inventory.hosts).set(name, here) }
    : inventory;
  const groups = new Map(narrowed.groups);
  for (const alias of machineHostNames()) {
    if (narrowed.hosts.has(alias) || groups.has(alias)) continue;
    groups.set(alias, { name: alias, hosts: [name], directHosts: [name], children: [], vars: {} });
  }
  return { inventory: narrowed, name, forPatterns: { ...narrowed, groups } };
}
