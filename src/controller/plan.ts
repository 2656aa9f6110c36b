import type { Host, Inventory } from "../core/inventory.ts";
import type { Vars } from "../core/json.ts";
import type { Playbook, PlayDefinition } from "../core/playbook.ts";
import { type Job, type JobOptions, PROTOCOL_VERSION, type Session } from "../core/protocol.ts";
import { nobodyLeft } from "../inventory/select.ts";
import { holdsTemplate } from "../vars/template-text.ts";
import { PASSWORD_VARS } from "./become-settings.ts";
import type { Concerned } from "./read-inventory.ts";

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
export interface JobCourse {
  readonly options: JobOptions;
  /** Whether the playbook may ask for the inventory's groups: in a large fleet they are most of what is sent. */
  readonly asksForGroups: boolean;
  readonly session?: Session;
}

/** What one host is asked to do. */
export function makeJob(
  host: Host,
  { plays, groups, inventory }: Plan,
  { options, asksForGroups, session }: JobCourse,
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
    ...(session === undefined ? {} : { session }),
    options,
  };
}

/** The vars in which templates may stand that a host renders: those of the plan's hosts, and of others it is told of. */
export function varsOfJobs({ plays, hosts, inventory }: Plan): Iterable<Vars> {
  const all = plays.some(({ play }) => (play.hostVars ?? []).length > 0);
  return (all ? [...inventory.hosts.values()] : hosts).map(({ vars }) => vars);
}
