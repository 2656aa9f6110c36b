import type { Group, Host, Inventory } from "../core/inventory.ts";
import type { Vars } from "../core/values/vars.ts";
import { describeHost } from "./connection.ts";

interface Added {
  readonly groups: Set<string>;
  vars: Vars;
}

/** An inventory with the hosts and groups that tasks of a run add to it. */
export class AddedHosts {
  readonly #inventory: Inventory;
  readonly #directory: string;
  readonly #added = new Map<string, Added>();

  /** `directory` is the playbook's: relative paths in vars begin there. */
  constructor(inventory: Inventory, directory: string) {
    this.#inventory = inventory;
    this.#directory = directory;
  }

  /** Add a host, or groups and vars to one. */
  add(name: string, groups: readonly string[], vars: Vars): void {
    const known = this.#added.get(name) ?? { groups: new Set(), vars: {} };
    this.#added.set(name, known);
    for (const group of groups) known.groups.add(group);
    known.vars = { ...known.vars, ...vars };
  }

  /** The inventory as it is by now. Fails with `INVENTORY_INVALID` where the vars of an added host cannot be used. */
  get inventory(): Inventory {
    const groups = new Map(this.#inventory.groups);
    const hosts = new Map(this.#inventory.hosts);
    for (const [name, { groups: own, vars }] of this.#added) {
      const isImplicit = this.#inventory.implicit?.has(name) === true;
      for (const group of isImplicit ? own : ["all", ...own])
        groups.set(group, withHost(groups.get(group), group, name));
      if (!hosts.has(name) && !isImplicit) hosts.set(name, this.#describe(name, [...own], vars));
    }
    return { ...this.#inventory, groups, hosts };
  }

  #describe(name: string, groups: readonly string[], own: Vars): Host {
    const shared = groups.map((group) => this.#inventory.groups.get(group)?.vars ?? {});
    const vars = Object.assign({}, ...shared, own) as Vars;
    return { ...describeHost(name, vars, this.#inventory, this.#directory), groups };
  }
}

function withHost(group: Group | undefined, name: string, host: string): Group {
  const { hosts, directHosts, ...rest } = group ?? {
    name,
    hosts: [],
    directHosts: [],
    children: [],
    vars: {},
  };
  if (hosts.includes(host)) return { hosts, directHosts, ...rest };
  return { ...rest, hosts: [...hosts, host], directHosts: [...directHosts, host] };
}
