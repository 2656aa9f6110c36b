import { reservedNames } from "../../ansible/keywords.ts";
import { printable, VolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import type { Playbook, PlayDefinition } from "../../core/playbook.ts";
import { type Job, type JobOptions, PROTOCOL_VERSION } from "../../core/protocol.ts";
import { findSecrets } from "../../core/secret.ts";
import { BECOME_PASSWORD_VARS } from "../../core/unix/users.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { VaultedValue } from "../../core/values/vaulted.ts";
import { connectionOfPlay } from "../../inventory/connection.ts";
import { readExtraVars } from "../../inventory/extra-vars.ts";
import { nobodyLeft } from "../../inventory/select.ts";
import { machineHostNames } from "../../system/host-names.ts";
import { MIN_SECRET_LENGTH } from "../../vars/mask-needles.ts";
import { fillReferences, holdsTemplate } from "../../vars/scope.ts";
import {
  createSecretStore,
  type ResolvedVars,
  resolveVars,
  type SecretStore,
} from "../../vars/secrets/store.ts";
import { createFillIn, directoryOf, fillPlays } from "./play-templates.ts";
import { type AskVar, askPrompts, type Prompted } from "./prompts.ts";
import { type Concerned, type PreparedPlaybook, readInventory } from "./read.ts";
import type { OpenedVault } from "./vaulted.ts";

/** A play with its hosts. */
export interface PlayHosts {
  readonly index: number;
  readonly play: PlayDefinition;
  readonly hosts: readonly Host[];
  /**
   * Set for an open play, because tasks of earlier plays may add hosts, or make groups, that it is for: the other hosts
   * of these plays, of which some may turn out to take part. Only a run that is carried out from here can tell.
   */
  readonly mayJoin?: readonly Host[];
}

const members = new WeakMap<readonly Host[], ReadonlySet<Host>>();

/** Return whether a play is for a host. A large fleet asks for each of its hosts. */
export function isFor({ hosts }: PlayHosts, host: Host): boolean {
  const known = members.get(hosts) ?? new Set(hosts);
  members.set(hosts, known);
  return known.has(host);
}

/** The hosts that a playbook works on. */
export interface HostPlan {
  readonly plays: readonly PlayHosts[];
  /** Every host of every play, once. */
  readonly hosts: readonly Host[];
  /** Every group of the inventory with its hosts. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly inventory: Inventory;
  /** The names of the vars that win over all others; every host has them. */
  readonly extraVars?: readonly string[];
  /** The name of the one host to work on, in a run on this machine alone. */
  readonly only?: string;
  /** The vars that a person was asked for. */
  readonly prompted?: Prompted;
  /** The hosts of the inventory with their secrets closed, once those of the plays' hosts are open. */
  readonly closed?: Inventory["hosts"];
}

/** The source of a playbook's hosts. */
export interface HostSource {
  readonly inventory: string | readonly string[] | Inventory;
  readonly limit: string | undefined;
  /** Work on this machine alone, as `run()` says. Default false. */
  readonly local?: boolean | undefined;
  readonly cwd: string;
  /** Opens the encrypted files of the playbook's hosts. Default: they stay closed. */
  readonly secrets?: SecretStore | undefined;
  /** Vars that win over all others, as `run()` takes them. */
  readonly extraVars?: Vars | readonly string[] | undefined;
  /** The connection of hosts that say nothing of it. Default: `ssh`. */
  readonly connection?: string | undefined;
  /** The values of the playbook that are encrypted with Ansible Vault. */
  readonly vaulted?: readonly VaultedValue[] | undefined;
  /** Asks for the vars of `vars_prompt`; null where there is nobody, which is warned of. Default: they have their defaults. */
  readonly askVar?: AskVar | null | undefined;
  /** True where the inventory must be right, and a playbook of Ansible's, too, must name hosts that are there. Default false. */
  readonly isStrict?: boolean;
}

/**
 * Read an inventory and plan the hosts of a playbook. A playbook of Ansible's may do without an inventory, its patterns
 * may name nothing, and may be templates of extra vars. Fails with `INVENTORY_*` or `PATTERN_UNKNOWN`.
 */
export async function readHostPlan(
  prepared: Pick<PreparedPlaybook, "playbook" | "directory" | "name">,
  {
    inventory: from,
    limit,
    local,
    cwd,
    secrets = createSecretStore({ cwd }),
    extraVars,
    connection,
    vaulted,
    askVar,
    isStrict = false,
  }: HostSource,
): Promise<HostPlan> {
  const { playbook: written, directory } = prepared;
  const extra = extraVars === undefined ? undefined : await readExtraVars(extraVars, { cwd, secrets });
  const isAnsible = written.plays.some(({ program }) => program !== undefined);
  const extraValues = Object.fromEntries(
    [...(extra?.entries ?? [])].map(([name, { value }]) => [name, value]),
  );
  const fillIn = createFillIn(directoryOf(prepared), secrets);
  const known = { extra: extraValues, vaulted };
  const prompted = await askPrompts(written, fillIn, known, askVar ?? undefined);
  const early = await fillPlays(written, fillIn, { ...known, asked: prompted.byPlay }, true);
  const { inventory, select, only } = await readInventory(from, {
    cwd,
    playbookDirectory: directory,
    concerned: concernedBy(early, limit),
    isOptional: isAnsible,
    isLenient: isAnsible && !isStrict,
    secrets,
    connection,
    ...(local === true ? { local: { limit } } : {}),
    ...(extra === undefined ? {} : { extraVars: extra.entries }),
  });
  const groups = Object.fromEntries([...inventory.groups].map(([name, group]) => [name, group.hosts]));
  const playbook = await fillPlays(written, fillIn, { ...known, asked: prompted.byPlay, groups });
  const problems = new Set<string>();
  const onUnknown =
    (isAnsible && !isStrict) || local === true
      ? (problem: string): void => void problems.add(problem)
      : undefined;
  const isNobody =
    isAnsible && limit !== undefined && select("all,localhost", limit, { onUnknown }).length === 0;
  const planned = planHosts(playbook, inventory, (pattern) => select(pattern, limit, { onUnknown }), {
    limit,
    isEmptyFine: (isAnsible && !isStrict && !isNobody) || local === true,
  });
  if (local === true && !isAnsible) {
    // A playbook has plays for other machines: that is nothing to warn of.
    problems.clear();
    if (planned.hosts.length === 0) throw notForThisMachine(playbook, only);
  }
  const plays = openPlays(planned.plays, (pattern) => {
    let isMore = false;
    const onMore = (): void => {
      isMore = true;
    };
    if (isAnsible) select(pattern, undefined, { onUnknown: onMore });
    return isMore;
  });
  const plan = { ...planned, plays };
  for (const { mayJoin, play } of plays)
    if (mayJoin !== undefined)
      select(play.hosts, limit, { onUnknown: (problem) => void problems.delete(problem) });
  const empty = isAnsible
    ? plan.plays.filter(({ hosts, mayJoin }) => hosts.length === 0 && mayJoin === undefined)
    : [];
  const warnings = [
    ...(inventory.warnings ?? []),
    ...(extra?.warnings ?? []),
    ...(prompted.isUnasked && askVar === null
      ? ["nobody is asked for vars_prompt, because the standard input is no terminal"]
      : []),
    ...Object.values(prompted.byPlay)
      .flatMap(({ secrets }) => Object.entries(secrets))
      .filter(([, text]) => text.trim().length < MIN_SECRET_LENGTH)
      .map(
        ([name]) => `the answer for ${name} is too short to be masked: it will be shown wherever it turns up`,
      ),
    ...reservedAmong(written, extraValues).map((name) => `Found variable using reserved name: ${name}`),
    ...new Set(
      written.plays
        .flatMap(({ program }) => program?.templates?.debugger ?? [])
        .map((at) => `${at}: debugger is passed over: a task that fails, fails`),
    ),
    ...[...problems].map((problem) => `${problem}: it is passed over`),
    ...empty.map(({ play }) => `play "${play.name}" has no hosts: it is skipped`),
  ];
  return {
    ...plan,
    inventory: { ...inventory, warnings },
    prompted,
    ...(only === undefined ? {} : { only }),
    ...(extra === undefined ? {} : { extraVars: [...extra.entries.keys()] }),
  };
}

function notForThisMachine({ plays }: Playbook, name = "localhost"): VolleyError {
  const patterns = [...new Set(plays.map(({ hosts }) => `"${printable(hosts, 300)}"`))].join(", ");
  const called = [...new Set([name, ...machineHostNames()])].join(", ");
  return new VolleyError(
    "PATTERN_UNKNOWN",
    `no play is for this machine (${called}): they are for ${patterns}`,
    {
      hint: "say which host of the inventory this machine is: -i INVENTORY -l NAME",
    },
  );
}

/** Return the names of vars of Ansible's plays, and of extra vars, that are keywords. */
function reservedAmong({ plays }: Playbook, extra: Vars): readonly string[] {
  const templates = plays.flatMap(({ program }) => program?.templates ?? []);
  const names = templates.length === 0 ? [] : reservedNames(Object.keys(extra));
  return [...new Set([...names, ...templates.flatMap(({ reserved }) => reserved)])];
}

/** Return the hosts whose vars a playbook needs; undefined: all hosts, because a play reads the vars of other hosts. */
export function concernedBy(playbook: Playbook, limit: string | undefined): Concerned | undefined {
  const { plays, guests } = playbook;
  if (plays.some(({ hostVars = [], program }) => hostVars.length > 0 || program?.readsHosts === true))
    return undefined;
  if (guests?.readsHosts === true) return undefined;
  return { patterns: plays.map(({ hosts }) => hosts), limit };
}

/** Find the hosts of each play with `select`, which applies the limit. Fails with `PATTERN_UNKNOWN` when no host is left, unless that is fine. */
export function planHosts(
  playbook: Playbook,
  inventory: Inventory,
  select: (pattern: string) => readonly Host[],
  {
    limit,
    isEmptyFine = false,
  }: { readonly limit?: string | undefined; readonly isEmptyFine?: boolean } = {},
): HostPlan {
  const selected = playbook.plays.map((play, index) => ({ index, play, hosts: select(play.hosts) }));
  const plays = withConnections(selected);
  const hosts = [...new Set(plays.flatMap((play) => play.hosts))];
  if (hosts.length === 0 && !isEmptyFine)
    throw nobodyLeft([...new Set(playbook.plays.map((play) => play.hosts))], limit, inventory);
  const groups = Object.fromEntries([...inventory.groups].map(([name, group]) => [name, group.hosts]));
  return { plays, hosts, groups, inventory };
}

/**
 * Give hosts the connection, login user and port that their plays say, where the inventory says nothing. A host has one
 * connection for all of its plays: the first play that says something decides.
 */
function withConnections(plays: readonly PlayHosts[]): readonly PlayHosts[] {
  const saying = plays.filter(
    ({ play: { connection, remoteUser, port } }) => (connection ?? remoteUser ?? port) !== undefined,
  );
  if (saying.length === 0) return plays;
  const made = new Map<Host, Host>();
  for (const { play, hosts } of saying) {
    for (const host of hosts) {
      const found = (made.get(host) ?? host).connection;
      const isSaid = (name: string): boolean =>
        [`ansible_${name}`, `ansible_ssh_${name}`].some((each) => each in host.vars);
      const settings =
        isSaid("connection") || play.connection === undefined
          ? found
          : connectionOfPlay({ ...host, connection: found }, play.connection);
      made.set(host, {
        ...host,
        connection: {
          ...settings,
          user: settings.user ?? (play.remoteUser === undefined ? undefined : userOf(host, play)),
          port: settings.port ?? play.port,
        },
      });
    }
  }
  return plays.map((each) => ({ ...each, hosts: each.hosts.map((host) => made.get(host) ?? host) }));
}

function userOf(host: Host, { name, remoteUser }: PlayDefinition): string {
  const filled = fillReferences(
    remoteUser,
    (variable) => host.vars[variable],
    (problem) => {
      throw new VolleyError("PLAYBOOK_INVALID", `remote_user of play "${name}" on ${host.name}: ${problem}`);
    },
  );
  return String(filled);
}

/** A plan whose hosts hold the values of their secrets. */
export interface OpenHostPlan extends HostPlan {
  /** Secrets that cannot be masked, and warnings of the inventory. */
  readonly warnings: readonly { readonly host: string; readonly text: string }[];
}

/** Get the secrets of the hosts that take part, and of no others, each from its store. Fails with `SECRET_FAILED`. */
export async function openPlan(
  plan: HostPlan,
  store: SecretStore | ((host: Host) => SecretStore),
): Promise<OpenHostPlan> {
  const storeOf = typeof store === "function" ? store : () => store;
  refuseInPlays(plan);
  const warnings = new Map<string, { readonly host: string; readonly text: string }>();
  const opened = new Map<string, Host>();
  for (const host of plan.hosts) {
    const resolved = await openVars(host, host.vars, storeOf(host));
    opened.set(host.name, withSecrets(host, resolved));
    for (const { name, source } of resolved.tooShort) {
      const text = `the secret ${name} is too short to be masked: it will be shown wherever it turns up`;
      if (!warnings.has(JSON.stringify([name, source])))
        warnings.set(JSON.stringify([name, source]), { host: host.name, text });
    }
  }
  // Without any host, only this machine is left to say so.
  const { name: host } = plan.hosts[0] ?? { name: "localhost" };
  for (const text of plan.inventory.warnings ?? []) warnings.set(text, { host, text });
  const hosts = new Map(plan.inventory.hosts);
  for (const [name, host] of opened) if (hosts.has(name)) hosts.set(name, host);
  // Plays may read some vars of hosts that do not take part.
  const shared = new Set(plan.plays.flatMap(({ play }) => play.hostVars ?? []));
  if (shared.size > 0) {
    for (const host of plan.inventory.hosts.values()) {
      if (opened.has(host.name)) continue;
      const vars = Object.fromEntries(Object.entries(host.vars).filter(([key]) => shared.has(key)));
      hosts.set(host.name, withSecrets(host, await openVars(host, vars, storeOf(host))));
    }
  }
  const ofNames = (some: readonly Host[]): readonly Host[] => some.map(({ name }) => opened.get(name)!);
  return {
    ...plan,
    inventory: { ...plan.inventory, hosts },
    closed: plan.inventory.hosts,
    hosts: plan.hosts.map(({ name }) => opened.get(name)!),
    plays: plan.plays.map(({ mayJoin, ...play }) => ({
      ...play,
      hosts: ofNames(play.hosts),
      ...(mayJoin === undefined ? {} : { mayJoin: ofNames(mayJoin) }),
    })),
    warnings: [...warnings.values()],
  };
}

/** Let plays stay open whose hosts tasks before them may add or group: `asksForMore` tells patterns that name what no inventory does. */
function openPlays(
  plays: readonly PlayHosts[],
  asksForMore: (pattern: string) => boolean,
): readonly PlayHosts[] {
  return plays.map((entry, position) => {
    const { program, hosts: pattern } = entry.play;
    if (position === 0 || program === undefined) return entry;
    const isMore = asksForMore(pattern);
    if (program.addsHosts !== true && !(isMore && program.makesGroups !== undefined)) return entry;
    const before = isMore ? plays.slice(0, position).flatMap(({ hosts }) => hosts) : [];
    return { ...entry, mayJoin: [...new Set(before)].filter((host) => !isFor(entry, host)) };
  });
}

/** Get the secrets of one host. Fails with `SECRET_FAILED`. */
export async function openHost(host: Host, store: SecretStore): Promise<Host> {
  return withSecrets(host, await openVars(host, host.vars, store));
}

async function openVars(host: Host, vars: Host["vars"], store: SecretStore): Promise<ResolvedVars> {
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
  return vars === host.vars ? host : { ...host, vars, secretTexts };
}

/** Refuse secrets in the playbook: the bundle holds the playbook, and would hold them too. */
function refuseInPlays({ plays }: HostPlan): void {
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

/** Return the texts to mask in all output about a host. */
export function secretsOf(host: Host): readonly string[] {
  return Object.values(host.secretTexts ?? {}).flat();
}

/** Leave out the become passwords: they never leave the controller. */
export function withoutPasswords<T>(byVar: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  if (!BECOME_PASSWORD_VARS.some((name) => name in byVar)) return byVar;
  return Object.fromEntries(Object.entries(byVar).filter(([name]) => !BECOME_PASSWORD_VARS.includes(name)));
}

/** Return a host's vars, and apart from them those that win over all others. */
function varsOf(host: Host, extraVars: readonly string[]): Pick<Job, "vars" | "extraVars"> {
  const all = withoutPasswords(host.vars);
  if (extraVars.length === 0) return { vars: all };
  const isExtra = ([name]: readonly [string, unknown]): boolean => extraVars.includes(name);
  const entries = Object.entries(all);
  return {
    vars: Object.fromEntries(entries.filter((entry) => !isExtra(entry))),
    extraVars: Object.fromEntries(entries.filter(isExtra)),
  };
}

/** Return where the vars with templates are set, for errors of these templates. */
function sourcesOf({ vars, sources }: Host): Pick<Job, "sources"> {
  const templates = Object.keys(vars).flatMap((name) => {
    const { file, line } = sources[name] ?? {};
    if (file === undefined || !holdsTemplate(vars[name])) return [];
    return [[name, { file, ...(line === undefined ? {} : { line }) }] as const];
  });
  return templates.length === 0 ? {} : { sources: Object.fromEntries(templates) };
}

/** The part of a job that all hosts share. */
export interface JobCourse {
  readonly options: JobOptions;
  /** True when the playbook may ask for the inventory's groups. Other jobs omit them: in a large fleet they are most of the job. */
  readonly asksForGroups: boolean;
  /** The values of the playbook that are encrypted with Ansible Vault. */
  readonly vaulted?: OpenedVault | undefined;
}

/** Make the job of one host: its vars, its plays, and the secrets to mask. */
export function makeJob(
  host: Host,
  { plays, groups, inventory, extraVars = [], prompted }: HostPlan,
  { options, asksForGroups, vaulted }: JobCourse,
): Job {
  const mine = plays.filter((entry) => isFor(entry, host));
  const asked = mine.flatMap(({ index }) => prompted?.byPlay[index] ?? []);
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
  const secrets = new Set([
    ...Object.values(withoutPasswords(host.secretTexts ?? {})).flat(),
    ...(vaulted?.secrets ?? []),
    ...asked.flatMap(({ secrets }) => Object.values(secrets)),
  ]);
  for (const key of shared)
    for (const { secretTexts } of others) for (const text of secretTexts?.[key] ?? []) secrets.add(text);
  return {
    protocol: PROTOCOL_VERSION,
    host: host.name,
    ...(host.connection.connection === "local" ? { isLocal: true } : {}),
    groups: host.groups,
    ...varsOf(host, extraVars),
    ...(asked.length === 0
      ? {}
      : {
          prompted: Object.fromEntries(
            mine.flatMap(({ index }) => {
              const found = prompted?.byPlay[index];
              return found === undefined ? [] : [[index, found.vars]];
            }),
          ),
        }),
    ...(asksForGroups ? { inventoryGroups: groups } : {}),
    hostVars,
    plays: mine.map(({ index }) => index),
    ...(vaulted === undefined ? {} : { vaulted: vaulted.values }),
    ...(secrets.size === 0 ? {} : { secrets: [...secrets] }),
    ...sourcesOf(host),
    options,
  };
}

/** Return the vars whose templates a host renders: those of the plan's hosts, of other hosts that plays may read, and those a person was asked for. */
export function varsOfJobs({ plays, hosts, inventory, prompted }: HostPlan): Iterable<Vars> {
  const all = plays.some(({ play }) => (play.hostVars ?? []).length > 0);
  const asked = Object.values(prompted?.byPlay ?? {}).map(({ vars }) => vars);
  return [...(all ? [...inventory.hosts.values()] : hosts).map(({ vars }) => vars), ...asked];
}
