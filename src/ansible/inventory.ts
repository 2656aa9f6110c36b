import { isDeepStrictEqual } from "node:util";
import type { Addition, Extended } from "../core/inventory.ts";
import type { Vars } from "../core/values/vars.ts";
import type { ProgramHost } from "../engine/program.ts";
import { CONTROLLER } from "./keywords.ts";

/** The inventory as a run sees it: that of the Job, with the additions of add_host and group_by. */
export class RunInventory {
  readonly #groups: Map<string, string[]>;
  /** The vars that tasks have given hosts. */
  readonly #added = new Map<string, Record<string, unknown>>();
  readonly #vars: Map<string, Vars>;
  /** The number of hosts that tasks have added. */
  #joined = 0;
  /** The hosts whose vars tasks have changed. */
  readonly #changed = new Set<string>();

  constructor({
    job: { inventoryGroups = {}, hostVars, host, groups, vars },
    world,
  }: Pick<ProgramHost, "job" | "world">) {
    this.#groups = new Map(Object.entries(inventoryGroups).map(([name, hosts]) => [name, [...hosts]]));
    this.#vars = new Map([...Object.entries({ ...hostVars, [host]: vars }), ...(world?.hostVars ?? [])]);
    // An implicit localhost is in no group.
    const isImplicit = CONTROLLER.has(host) && inventoryGroups.all?.includes(host) !== true;
    if (!isImplicit) for (const group of ["all", ...groups]) this.#join(host, group);
    if (!this.#groups.has("ungrouped"))
      this.#groups.set("ungrouped", groups.length === 0 && !isImplicit ? [host] : []);
  }

  /** Every group with its hosts. */
  get groups(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(this.#groups);
  }

  /** The names of all hosts whose vars are known. */
  get hosts(): readonly string[] {
    return [...new Set([...this.#vars.keys(), ...(this.#groups.get("all") ?? []), ...this.#added.keys()])];
  }

  /** The groups that a host is in, without `all`, sorted: `ungrouped` where there is no other. */
  groupsOf(host: string): readonly string[] {
    const named = [...this.#groups]
      .filter(([name, hosts]) => name !== "all" && name !== "ungrouped" && hosts.includes(host))
      .map(([name]) => name)
      .sort();
    return named.length === 0 && this.#groups.get("ungrouped")?.includes(host) === true
      ? ["ungrouped"]
      : named;
  }

  varsOf(host: string): Vars {
    return this.#vars.get(host) ?? {};
  }

  /** The vars of a host that tasks have changed; undefined for any other. */
  changedVarsOf(host: string): Vars | undefined {
    return this.#changed.has(host) ? this.varsOf(host) : undefined;
  }

  /** Add a host, or groups and vars to one. Returns whether anything was new. */
  add({ host, groups, vars, parents = [] }: Addition): boolean {
    const isImplicit = CONTROLLER.has(host) && !this.#vars.has(host);
    let changed = !isImplicit && this.#join(host, "all");
    // Hosts that tasks add stand before those that groups bring.
    const all = this.#groups.get("all");
    if (changed) all?.splice(this.#joined++, 0, all.pop()!);
    for (const group of groups) if (this.#join(host, group)) changed = true;
    for (const parent of parents)
      for (const member of groups.flatMap((group) => this.#groups.get(group) ?? []))
        if (this.#join(member, parent)) changed = true;
    if (groups.length === 0 && this.groupsOf(host).length === 0) this.#join(host, "ungrouped");
    const before = this.#added.get(host) ?? {};
    const after = { ...before, ...vars };
    if (!isDeepStrictEqual(before, after)) changed = true;
    this.#added.set(host, after);
    this.#setVars(host, { ...this.varsOf(host), ...vars });
    return changed;
  }

  /** Take what an addition has made of the inventory: the vars of groups, and the groups above groups. */
  take({ inventory: { groups, hosts, implicit }, changed }: Extended): void {
    for (const { name, hosts: members } of groups.values()) {
      if (name === "ungrouped") continue;
      for (const host of members) if (changed.includes(host)) this.#join(host, name);
    }
    for (const name of changed) {
      const vars = (hosts.get(name) ?? implicit?.get(name))?.vars;
      if (vars !== undefined) this.#setVars(name, vars);
    }
  }

  #setVars(host: string, vars: Vars): void {
    this.#vars.set(host, vars);
    this.#changed.add(host);
  }

  #join(host: string, group: string): boolean {
    const hosts = this.#groups.get(group) ?? [];
    this.#groups.set(group, hosts);
    if (hosts.includes(host)) return false;
    hosts.push(host);
    // A host with a group of its own is not ungrouped.
    const ungrouped = group === "all" || group === "ungrouped" ? undefined : this.#groups.get("ungrouped");
    if (ungrouped?.includes(host) === true) ungrouped.splice(ungrouped.indexOf(host), 1);
    return true;
  }
}

/** The inventories of runs: hosts by themselves have one each, those of a controller's run share one. */
const inventories = new WeakMap<object, RunInventory>();

/** Return the inventory of a job's run: it stays from play to play. */
export function inventoryOf({ job, world }: Pick<ProgramHost, "job" | "world">): RunInventory {
  const owner = world?.hosts ?? job;
  const known = inventories.get(owner) ?? new RunInventory({ job, world });
  inventories.set(owner, known);
  return known;
}
