import { VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { Vars } from "../../core/json.ts";
import type { Playbook, PlayDefinition } from "../../core/playbook.ts";
import { type Job, type JobOptions, PROTOCOL_VERSION } from "../../core/protocol.ts";
import { findSecrets } from "../../core/secret.ts";
import { nobodyLeft } from "../../inventory/select.ts";
import { createMask, type Mask } from "../../vars/mask.ts";
import { holdsTemplate } from "../../vars/scope.ts";
import { type ResolvedVars, resolveVars } from "../../vars/secrets/resolve.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import { PASSWORD_VARS } from "./become.ts";
import type { Concerned } from "./read.ts";

/** A play with the hosts it is for. */
export interface PlayHosts {
  readonly index: number;
  readonly play: PlayDefinition;
  readonly hosts: readonly Host[];
}

/** Which host does what. */
export interface Plan {
  readonly plays: readonly PlayHosts[];
  /** Every host of every play, once. */
  readonly hosts: readonly Host[];
  /** Every group of the inventory with its hosts. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly inventory: Inventory;
}

/** Whose vars a playbook's run asks for; undefined: everybody's, because a play reads those of others. */
export function concernedBy(playbook: Playbook, limit: string | undefined): Concerned | undefined {
  if (playbook.plays.some(({ hostVars = [] }) => hostVars.length > 0)) return undefined;
  return { patterns: playbook.plays.map(({ hosts }) => hosts), limit };
}

/** Finds the hosts of each play, of which `select` leaves those that a limit names. Fails with `PATTERN_UNKNOWN` when none is left. */
export function planHosts(
  playbook: Playbook,
  inventory: Inventory,
  select: (pattern: string) => readonly Host[],
  limit?: string,
): Plan {
  const plays = playbook.plays.map((play, index) => ({ index, play, hosts: select(play.hosts) }));
  const hosts = [...new Set(plays.flatMap((play) => play.hosts))];
  if (hosts.length === 0)
    throw nobodyLeft([...new Set(playbook.plays.map((play) => play.hosts))], limit, inventory);
  const groups = Object.fromEntries([...inventory.groups].map(([name, group]) => [name, group.hosts]));
  return { plays, hosts, groups, inventory };
}

/** What becoming another user takes is for the controller alone. */
function withoutPasswords<T>(byVar: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  if (!PASSWORD_VARS.some((name) => name in byVar)) return byVar;
  return Object.fromEntries(Object.entries(byVar).filter(([name]) => !PASSWORD_VARS.includes(name)));
}

/** Where the vars are set that hold templates: an error of one says so. */
function sourcesOf({ vars, sources }: Host): Pick<Job, "sources"> {
  const templates = Object.keys(vars).flatMap((name) => {
    const { file, line } = sources[name] ?? {};
    if (file === undefined || !holdsTemplate(vars[name])) return [];
    return [[name, { file, ...(line === undefined ? {} : { line }) }] as const];
  });
  return templates.length === 0 ? {} : { sources: Object.fromEntries(templates) };
}

/** What hosts are asked beside the plan. */
interface JobCourse {
  readonly options: JobOptions;
  /** Whether the playbook may ask for the inventory's groups: in a large fleet they are most of what is sent. */
  readonly asksForGroups: boolean;
}

/** What one host is asked to do. */
export function makeJob(
  host: Host,
  { plays, groups, inventory }: Plan,
  { options, asksForGroups }: JobCourse,
): Job {
  const mine = plays.filter(({ hosts }) => hosts.includes(host));
  const shared = [...new Set(mine.flatMap(({ play }) => play.hostVars ?? []))];
  const hostVars: Record<string, Vars> = {};
  if (shared.length > 0) {
    for (const { name, vars } of inventory.hosts.values()) {
      hostVars[name] = withoutPasswords(
        Object.fromEntries(shared.filter((key) => key in vars).map((key) => [key, vars[key]])),
      );
    }
  }
  const others = shared.length === 0 ? [] : [...inventory.hosts.values()].filter((each) => each !== host);
  const secrets = new Set(Object.values(withoutPasswords(host.secretTexts ?? {})).flat());
  for (const key of shared)
    for (const { secretTexts } of others) for (const text of secretTexts?.[key] ?? []) secrets.add(text);
  return {
    protocol: PROTOCOL_VERSION,
    host: host.name,
    groups: host.groups,
    vars: withoutPasswords(host.vars),
    ...(asksForGroups ? { inventoryGroups: groups } : {}),
    hostVars,
    plays: mine.map(({ index }) => index),
    ...(secrets.size === 0 ? {} : { secrets: [...secrets] }),
    ...sourcesOf(host),
    options,
  };
}

/** The vars in which templates may stand that a host renders: those of the plan's hosts, and of others it is told of. */
export function varsOfJobs({ plays, hosts, inventory }: Plan): Iterable<Vars> {
  const all = plays.some(({ play }) => (play.hostVars ?? []).length > 0);
  return (all ? [...inventory.hosts.values()] : hosts).map(({ vars }) => vars);
}

/** A plan whose hosts have the values of their secrets. */
export interface OpenPlan extends Plan {
  /** What a person should know of secrets that could not be made safe. */
  readonly warnings: readonly { readonly host: string; readonly text: string }[];
}

/** Gets the secrets of the hosts that take part, and of no others. Fails with `SECRET_FAILED`. */
export async function openPlan(plan: Plan, store: SecretStore): Promise<OpenPlan> {
  refuseInPlays(plan);
  const warnings = new Map<string, { readonly host: string; readonly text: string }>();
  const opened = new Map<string, Host>();
  for (const host of plan.hosts) {
    const resolved = await openHost(host, host.vars, store);
    opened.set(host.name, withSecrets(host, resolved));
    for (const { name, source } of resolved.tooShort) {
      const text = `the secret ${name} is too short to be masked: it will be shown wherever it turns up`;
      if (!warnings.has(JSON.stringify([name, source])))
        warnings.set(JSON.stringify([name, source]), { host: host.name, text });
    }
  }
  const [first] = plan.hosts;
  for (const text of plan.inventory.warnings ?? [])
    if (first !== undefined) warnings.set(text, { host: first.name, text });
  const hosts = new Map(plan.inventory.hosts);
  for (const [name, host] of opened) if (hosts.has(name)) hosts.set(name, host);
  // A play may read some vars of hosts that do not take part.
  const shared = new Set(plan.plays.flatMap(({ play }) => play.hostVars ?? []));
  if (shared.size > 0) {
    for (const host of plan.inventory.hosts.values()) {
      if (opened.has(host.name)) continue;
      const vars = Object.fromEntries(Object.entries(host.vars).filter(([key]) => shared.has(key)));
      hosts.set(host.name, withSecrets(host, await openHost(host, vars, store)));
    }
  }
  return {
    ...plan,
    inventory: { ...plan.inventory, hosts },
    hosts: plan.hosts.map(({ name }) => opened.get(name)!),
    plays: plan.plays.map((play) => ({ ...play, hosts: play.hosts.map(({ name }) => opened.get(name)!) })),
    warnings: [...warnings.values()],
  };
}

async function openHost(host: Host, vars: Host["vars"], store: SecretStore): Promise<ResolvedVars> {
  const [locked] = host.locked ?? [];
  if (locked !== undefined) throw locked;
  return resolveVars(
    vars,
    {
      name: `host ${host.name}`,
      locate: (name) => {
        const { file, line } = host.sources[name] ?? {};
        return file === undefined ? undefined : { file, ...(line === undefined ? {} : { line }) };
      },
    },
    store,
  );
}

function withSecrets(host: Host, { vars, secretTexts }: ResolvedVars): Host {
  return { ...host, vars, secretTexts };
}

/** The playbook is in the bundle and runs on every host: a secret in it would have to be in both. */
function refuseInPlays({ plays }: Plan): void {
  for (const { play } of plays) {
    const places = [
      ["its vars", play.vars] as const,
      ...play.roles.map(({ role, vars }) => [`the vars of role "${role.name}"`, vars] as const),
    ];
    for (const [where, vars] of places) {
      if (findSecrets(vars).length === 0) continue;
      throw new VolleyError("PLAYBOOK_INVALID", `play "${play.name}": a secret cannot stand in ${where}`, {
        hint: "set it in the inventory, as a var of the host or its group: it then reaches only the hosts that need it",
      });
    }
  }
}

/** The texts to mask in whatever is told of a host: its own secrets, and those of others its plays may read. */
export function secretsOf(host: Host): readonly string[] {
  return Object.values(host.secretTexts ?? {}).flat();
}

/** Makes masks of secrets; hosts with the same secrets have the same one. */
export function createMasks(): (secrets: readonly string[]) => Mask | null {
  const made = new Map<string, Mask | null>();
  return (secrets) => {
    const key = JSON.stringify(secrets);
    let mask = made.get(key);
    if (mask === undefined) {
      mask = createMask(secrets);
      made.set(key, mask);
    }
    return mask;
  };
}
