import type { Facts } from "../core/facts.ts";
import type { ProgramWorld } from "../core/program.ts";
import type { Job } from "../core/protocol.ts";
import { copyKept } from "../core/values/kept-text.ts";
import { isDict } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import { factVariables } from "../engine/context.ts";
import type { ProgramHost } from "../engine/program.ts";

/** The knowledge of a host that a run gathers; plays hand it on. */
export class HostState {
  /** Facts under the names that modules give them, such as `ansible_os_family` and `services`; of `set_fact` those with `cacheable`. */
  readonly facts: Record<string, unknown> = {};
  /** Registers and vars of `set_fact`, by the time they were set: the later wins. */
  readonly learned: Record<string, unknown> = {};
  /** Vars of `include_vars`, whose texts are templates: `learned` wins over them, whenever it was set. */
  readonly included: Record<string, unknown> = {};
  isGathered = false;
  /** The host's part of the run, once it has begun. */
  job: Job | undefined;
  /** True once a task may have changed the host, so that facts found before may not hold. */
  isTouched = false;
  readonly #cache: CachedFacts | undefined;
  #version = 0;
  #factVars: { readonly of: number; readonly vars: Vars } | undefined;

  /** `cache`: the facts of earlier runs. */
  constructor(cache?: CachedFacts) {
    this.#cache = cache;
    Object.assign(this.facts, cache?.load());
    this.isGathered = this.facts.module_setup === true;
  }

  /** A number that is another one whenever something was learned. */
  get version(): number {
    return this.#version;
  }

  /** Take a module's `ansible_facts`. */
  addFacts(facts: unknown): void {
    if (!isDict(facts)) return;
    this.#version++;
    for (const [name, value] of facts instanceof Map ? facts : Object.entries(facts))
      this.facts[String(name)] = value;
    this.#cache?.save(this.facts);
  }

  clearFacts(): void {
    this.#version++;
    for (const name of Object.keys(this.facts)) delete this.facts[name];
    this.#cache?.drop();
    this.isGathered = false;
  }

  /** The vars of the inventory are others now. */
  renew(): void {
    this.#version++;
  }

  learn(values: Vars): void {
    this.#version++;
    Object.assign(this.learned, values);
    copyKept(values, this.learned);
  }

  include(values: Vars): void {
    this.#version++;
    Object.assign(this.included, values);
  }

  /** The facts as vars: all in `ansible_facts` without their prefix, and each by its own name. */
  factVars(): Vars {
    if (this.#factVars?.of !== this.#version)
      this.#factVars = { of: this.#version, vars: this.#makeFactVars() };
    return this.#factVars.vars;
  }

  #makeFactVars(): Vars {
    const bare: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(this.facts))
      bare[name === "ansible_local" ? name : name.replace(/^ansible_/, "")] = value;
    if (Object.hasOwn(this.facts, "ansible_local")) bare.local = this.facts.ansible_local;
    return { ...this.facts, ansible_facts: bare };
  }
}

/** The facts of one host that are kept from run to run. */
interface CachedFacts {
  load(): Vars | undefined;
  save(facts: Vars): void;
  drop(): void;
}

const states = new WeakMap<Job, HostState>();

/** Return what the host of a job has learned so far. */
export function stateOf({ job, world }: Pick<ProgramHost, "job" | "world">): HostState {
  if (world !== undefined) return stateIn(world, job.host);
  const known = states.get(job) ?? new HostState();
  states.set(job, known);
  return known;
}

/** Return what a host has learned in a run that is carried out by the controller. */
export function stateIn(world: ProgramWorld | undefined, host: string): HostState {
  const known = world?.hosts.get(host);
  if (known instanceof HostState) return known;
  const cache = world?.facts;
  const made = new HostState(
    cache && {
      load: () => cache.load(host),
      save: (facts) => cache.save(host, facts),
      drop: () => cache.drop(host),
    },
  );
  world?.hosts.set(host, made);
  return made;
}

/** The facts that `setup` gives, by name. */
export function setupFacts(facts: Facts): Record<string, unknown> {
  const { ansible_facts: _all, ...named } = factVariables(facts);
  return { ...named, gather_subset: ["all"], module_setup: true };
}
