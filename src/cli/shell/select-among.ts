import type { Group, Host, Inventory } from "../../core/inventory.ts";
import { parseNodeSet } from "../../inventory/node-set.ts";
import { selectHosts } from "../../inventory/select.ts";

/** The groups that hosts are in. */
export function groupsOf(hosts: readonly Host[]): readonly string[] {
  return [...new Set(hosts.flatMap(({ groups }) => groups))];
}

/**
 * The names of those of the hosts that a pattern or a node set stands for; what names other hosts of the inventory as
 * well is no mistake. Fails with `PATTERN_UNKNOWN`.
 */
export function selectAmong(hosts: readonly Host[], pattern: string): readonly string[] {
  const names = new Set(hosts.map(({ name }) => name));
  try {
    const nodes = parseNodeSet(pattern);
    // A pattern's own signs mean other things in a node set.
    if (nodes.length > 0 && !/[!&^:]/.test(pattern) && nodes.every((name) => names.has(name))) return nodes;
  } catch {
    // It is a pattern, then.
  }
  return selectHosts(inventoryOf(hosts), pattern)
    .map(({ name }) => name)
    .filter((name) => names.has(name));
}

function inventoryOf(hosts: readonly Host[]): Inventory {
  const groupOf = (name: string, members: readonly Host[]): [string, Group] => {
    const own = members.map((member) => member.name);
    return [name, { name, hosts: own, directHosts: own, children: [], vars: {} }];
  };
  return {
    hosts: new Map(hosts.map((host) => [host.name, host])),
    groups: new Map([
      groupOf("all", hosts),
      ...groupsOf(hosts).map((name) =>
        groupOf(
          name,
          hosts.filter(({ groups }) => groups.includes(name)),
        ),
      ),
    ]),
    paths: [],
  };
}
