import { isDeepStrictEqual } from "node:util";
import type { Job } from "../core/protocol.ts";
import type { Vars } from "../core/values/vars.ts";
import type { ProgramHost } from "../engine/program.ts";
import { CONTROLLER } from "./keywords.ts";

/** The inventory as a run sees it: that of the Job, with the additions of add_host and group_by. */
export class RunInventory {
  readonly #groups: Map<string, string[]>;
  readonly #added = new Map<string, Record<string, unknown>>();
  readonly #vars: Readonly<Record<string, Vars>>;

  constructor({ inventoryGroups = {}, hostVars, host, groups, vars }: Job) {
    this.#groups = new Map(Object.entries(inventoryGroups).map(([name, hosts]) => [name, [...hosts]]));
    this.#vars = { ...hostVars, [host]: vars };
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
    return [
      ...new Set([...Object.keys(this.#vars), ...(this.#groups.get("all") ?? []), ...this.#added.keys()]),
    ];
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
    return { ...this.#vars[host], ...this.#added.get(host) };
  }

  /** Add a host, or groups and vars to one. Returns whether anything was new. */
  addHost(host: string, groups: readonly string[], vars: Vars): boolean {
    let changed = this.#join(host, "all");
    for (const group of groups) if (this.#join(host, group)) changed = true;
    if (groups.length === 0 && this.groupsOf(host).length === 0) this.#join(host, "ungrouped");
    const before = this.#added.get(host) ?? {};
    const after = { ...before, ...vars };
    if (!isDeepStrictEqual(before, after)) changed = true;
    this.#added.set(host, after);
    return changed;
  }

  #join(host: string, group: string): boolean {
    const hosts = this.#groups.get(group) ?? [];
    this.#groups.set(group, hosts);
    if (hosts.includes(host)) return false;
    hosts.push(host);
    return true;
  }
}

/** The inventories of runs: hosts by themselves have one each, those of a controller's run share one. */
const inventories = new WeakMap<object, RunInventory>();

/** Return the inventory of a job's run: it stays from play to play. */
export function inventoryOf({ job, world }: Pick<ProgramHost, "job" | "world">): RunInventory {
  const owner = world?.hosts ?? job;
  const known = inventories.get(owner) ?? new RunInventory(job);
  inventories.set(owner, known);
  return known;
}
