import { realpathSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { dirname, join } from "node:path";
import type { Bundle } from "../../bundle/build.ts";
import { listRuntimes, type Runtime } from "../../bundle/runtimes/store.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import type { Host } from "../../core/inventory.ts";
import type { JobSession } from "../../core/protocol.ts";
import { limitHosts, nobodyLeft } from "../../inventory/select.ts";
import { MACHINE_NAMES } from "../../patterns/names.ts";
import { createMask, maskError } from "../../vars/mask.ts";
import { createSecretStore } from "../../vars/secrets/store.ts";
import { leaveSecrets } from "../queued/left-secrets.ts";
import type { QueuedHost } from "../queued/queued-host.ts";
import { makeRunId, type RunRecord, readEvents, readRecord, runsDirectory } from "../records/records.ts";
import type { Via } from "../session/state.ts";
import { openFactCache } from "./fact-cache.ts";
import { type HostWay, hostMaker, type PlannedHost } from "./jobs.ts";
import { chooseMethod, leftAlone, methodOfWorkers } from "./method.ts";
import {
  type AskStep,
  type ConnectedHosts,
  DEFAULTS,
  fileOf,
  isText,
  type RunOptions,
  recordable,
} from "./options.ts";
import { playOfStart } from "./outline.ts";
import {
  isFor,
  type OpenHostPlan,
  openHost,
  openPlan,
  type PlayHosts,
  readHostPlan,
  secretsOf,
  varsOfJobs,
} from "./plan.ts";
import { preflight } from "./preflight.ts";
import { hostBecome, type Reached } from "./reach.ts";
import { type PreparedPlaybook, plainExtraVars, preparePlaybook } from "./read.ts";
import { openTransports, reachedHere, type Transports } from "./transports.ts";
import { openVaulted } from "./vaulted.ts";
import type { OpenWorld } from "./world.ts";

/** The decisions for a run, made before anything is started on a host, for schedule, sessions and recorder. Frozen. */
export interface Plan {
  /** The run's name. */
  readonly run: string;
  readonly playbook: Omit<PreparedPlaybook, "directory" | "bundle" | "identity" | "locate">;
  readonly plays: readonly PlayHosts[];
  readonly hosts: readonly (PlannedHost | QueuedHost)[];
  /** Takes in the hosts that tasks add to the run; undefined where plays are carried out by the hosts. */
  readonly late: LateHosts | undefined;
  /** The bundle, under the id by which the hosts know the run. `file`: its place on this machine, where it is started from. */
  readonly bundle: Bundle & { readonly file?: string };
  /** Milliseconds that preparing took, up to the bundle. */
  readonly buildMs: number;
  readonly method: Via;
  /** The runtimes that may be sent to hosts. */
  readonly runtimes: readonly Runtime[];
  /** Asks the person before each task. */
  readonly askStep: AskStep | undefined;
  readonly check: boolean;
  /** Seed of plays in shuffled order. */
  readonly seed: string;
  readonly limits: Limits;
  readonly notes: readonly Note[];
  /** The place and content of the run's record; undefined: no record. */
  readonly record: PlannedRecord | undefined;
  /** Set when a run is picked up whose controller was ended. */
  readonly attached: Attached | undefined;
}

/** Hosts that tasks add to the run. */
interface LateHosts {
  /** Return the hosts that a pattern stands for by now. */
  select(pattern: string): readonly Host[];
  /** Plan a host's part of these plays. Fails as reading the inventory and opening transports do. */
  admit(host: Host, plays: readonly PlayHosts[]): Promise<PlannedHost>;
}

/** Limits of a run; times in milliseconds. */
export interface Limits {
  /** Hosts at work at a time. */
  readonly concurrency: number;
  /** For each play that sets none itself; undefined: no limit. */
  readonly playMs: number | undefined;
  /** For a host whose time is up to end cleanly. */
  readonly graceMs: number;
  /** From starting the bundle to its `hello`. */
  readonly startMs: number;
  /** To reconnect to a lost host. */
  readonly returnMs: number;
}

/** A line about a host to show at the start of the run. */
interface Note {
  readonly host: string;
  readonly level: "notice" | "warn";
  readonly text: string;
}

interface PlannedRecord extends Omit<RunRecord, "run" | "pid" | "process"> {
  readonly directory: string;
}

interface Attached {
  /** The events that the earlier controller wrote down; each iteration reads them. */
  readonly events: Iterable<Event>;
  /** True when the playbook now makes another bundle: hosts then may only report, and no host may begin. */
  readonly changed: boolean;
}

/** A plan, and the transports that its hosts are reached by. */
export interface Prepared {
  readonly plan: Plan;
  readonly transports: Pick<Transports, "close">;
}

/**
 * Turn the options of `run()` into a plan: read playbook and inventory, ask for secrets, check what can be checked, make
 * the bundle, and find out how to reach the hosts. `clean` and `now` interrupt it. All faults that can be found
 * before anything is started on a host are thrown here.
 */
export async function prepare(
  options: RunOptions,
  { clean, now }: { readonly clean: AbortSignal; readonly now: AbortSignal },
): Promise<Prepared> {
  const startedAt = performance.now();
  const { askPassphrase, check = false, fleet } = options;
  const cwd = options.cwd ?? process.cwd();
  const given = isText(options.playbook) ? options.playbook : undefined;
  const secrets = createSecretStore({
    ...options.secrets,
    cwd,
    signal: clean,
    ...(askPassphrase === undefined ? {} : { ask: askPassphrase }),
  });
  const known = await plainExtraVars(options.extraVars, { cwd, secrets });
  const prepared = await preparePlaybook(given ?? fileOf(options), cwd, options.ansible, known);
  const { playbook, vaulted } = await openVaulted(prepared, secrets);
  const { extraVars, connection, local } = options;
  const inventory = options.inventory ?? fleet?.inventory ?? [];
  const limit = fleet === undefined ? options.limit : limitToFleet(fleet, options.limit, cwd);
  const source = {
    ...{ inventory, limit, local, cwd, secrets, extraVars, connection },
    vaulted: vaulted?.values,
    askVar: options.askVar ?? null,
    isStrict: given !== undefined,
  };
  const left = options.queue === undefined ? undefined : leaveSecrets(secrets);
  const selected = await openPlan(await readHostPlan(playbook, source), left?.storeOf ?? secrets);
  let transports: Transports | undefined;
  try {
    const { guests } = playbook.playbook;
    await preflight({ ...selected, assets: playbook.assets, check, guests }).catch((thrown: unknown) => {
      throw playbook.locate(thrown);
    });
    const facts = openFactCache(options.ansible);
    if (options.flushFactCache === true)
      for (const name of [...selected.inventory.hosts.keys(), ...MACHINE_NAMES]) facts?.drop(name);
    const keepsFacts = facts !== undefined;
    const wished = options.via ?? DEFAULTS.via;
    const { via, isLed, asksNoHost } =
      options.queue === undefined
        ? chooseMethod(selected, { via: wished, guests, keepsFacts })
        : methodOfWorkers(selected, { via: wished, guests, playbook: playbook.name });
    const isHere = ({ connection }: Host): boolean =>
      options.queue === undefined || connection.connection === "local";
    const plays = isLed ? selected.plays.map(withAllThatMayJoin) : selected.plays;
    const world = isLed
      ? (await import("./world.ts")).createWorld({
          directory: join(playbook.directory, dirname(playbook.name)),
          inventory: selected.inventory,
          planned: selected.hosts,
          closed: selected.closed ?? selected.inventory.hosts,
          secrets,
          options: selected.only === undefined ? options : { ...options, limit: selected.only },
          facts,
          signal: now,
        })
      : undefined;
    const { startAtTask } = options;
    const startAtPlay =
      startAtTask === undefined ? undefined : await playOfStart(startAtTask, selected, playbook);
    const limits = limitsOf(options, selected.hosts.length);
    const reachingAt = performance.now();
    const opened =
      fleet === undefined
        ? await openTransports(asksNoHost ? [] : selected.hosts.filter(isHere), options, now)
        : transportsOf(fleet);
    transports = opened;
    const reached: Pick<Transports, "of"> = asksNoHost ? { of: reachedHere } : opened;
    const wayOf = (host: Host, reached: Reached, mine: readonly PlayHosts[]): HostWay => {
      // Where nothing is asked of a host, nobody need become another user there.
      const asked = asksNoHost ? [] : mine.filter((entry) => isFor(entry, host));
      return { reached, become: hostBecome(host, reached.endpoint.user, asked, options) };
    };
    // Refusals come before any host is touched.
    const ways = new Map(
      selected.hosts.filter(isHere).map((host) => [host, wayOf(host, reached.of(host), plays)]),
    );
    const isSure = options.attach === undefined && !clean.aborted;
    if (!isLed && isSure && limits.concurrency >= selected.hosts.length)
      opened.connectEarly(firstAtWork(selected).filter(isHere));
    // A person may have been asked something.
    const reachingMs = performance.now() - reachingAt;
    const vars = [...varsOfJobs(selected), ...(vaulted?.values ?? [])];
    const bundle =
      given !== undefined && via === "direct" ? playbook.identity() : await playbook.bundle({ vars });
    const buildMs = performance.now() - startedAt - reachingMs;
    const { run, record, attached } = planRecord({ ...options, cwd }, bundle);
    const session: JobSession = {
      run,
      controller: `${userInfo().username}@${hostname()}`,
      lockWaitMs: options.lockWaitMs ?? DEFAULTS.lockWaitMs,
      project: realpathSync(playbook.directory),
      ...(options.resume === undefined ? {} : { resume: options.resume }),
    };
    const runtimes = via === "direct" || options.runtime === "never" ? [] : listRuntimes();
    const namesGroups = bundle.asksForGroups || isLed;
    const make = hostMaker(selected, options, {
      ...{ session, startAtPlay, namesGroups, vaulted, runtimes, left },
    });
    const plan: Plan = {
      run,
      playbook: world === undefined ? playbook : { ...playbook, world },
      plays: Object.freeze(plays),
      // Connections that have begun meanwhile are part of the way.
      hosts: Object.freeze(
        selected.hosts.map((host) => {
          const way = ways.get(host);
          return way === undefined
            ? make.queued(host, plays)
            : make.here(host, { become: way.become, reached: reached.of(host) }, plays);
        }),
      ),
      late:
        world === undefined
          ? undefined
          : {
              select: world.select,
              admit: async (host, plays) => {
                const opened = await openHost(host, secrets);
                const mine = plays.map((entry) => ({
                  ...entry,
                  hosts: entry.hosts.map((each) => (each === host ? opened : each)),
                }));
                const reached = asksNoHost ? reachedHere(opened) : await world.reach(opened);
                return make.here(opened, wayOf(opened, reached, mine), mine);
              },
            },
      bundle: attached?.changed === true ? { ...bundle, id: record!.bundle } : bundle,
      buildMs,
      method: via,
      runtimes,
      askStep: options.step,
      check,
      seed: options.seed ?? run,
      limits: Object.freeze(limits),
      notes: [
        ...opened.notes.map((note) => ({ ...note, level: "notice" as const })),
        ...selected.warnings.map((note) => ({ ...note, level: "warn" as const })),
        ...(isLed ? [] : leftAlone(selected, keepsFacts)).map((text) => ({
          host: selected.hosts[0]?.name ?? "localhost",
          level: "warn" as const,
          text,
        })),
      ],
      record,
      attached,
    };
    return { plan: Object.freeze(plan), transports: closingBoth(opened, world) };
  } catch (thrown) {
    transports?.close();
    const mask = createMask([
      ...selected.hosts.flatMap(secretsOf),
      ...Object.values(selected.prompted?.byPlay ?? {}).flatMap((asked) => Object.values(asked.secrets)),
    ]);
    throw mask === null ? thrown : maskError(mask, thrown);
  }
}

/** Return the limit that leaves only hosts of the fleet. Fails with `PATTERN_UNKNOWN`. */
function limitToFleet({ inventory, names }: ConnectedHosts, limit: string | undefined, cwd: string): string {
  const hosts = names.flatMap((name) => inventory.hosts.get(name) ?? []);
  const left = limit === undefined ? hosts : limitHosts(hosts, inventory, limit, { cwd });
  if (left.length === 0) throw nobodyLeft(["the fleet"], limit, inventory);
  return left.map(({ name }) => name).join(",");
}

/** Return the transports of a fleet, which the run leaves open. */
function transportsOf({ reach, notes }: ConnectedHosts): Transports {
  return { of: reach, connectEarly: () => {}, notes, close: () => {} };
}

/** Let all hosts that may take part in an open play come to it: some are told then that the play is not for them. */
function withAllThatMayJoin(entry: PlayHosts): PlayHosts {
  return { ...entry, hosts: [...entry.hosts, ...(entry.mayJoin ?? [])] };
}

/** Return the hosts that begin at once: those of the first play that has any, unless it takes them in turns. */
function firstAtWork({ plays }: OpenHostPlan): readonly Host[] {
  const first = plays.find(({ hosts }) => hosts.length > 0);
  return first === undefined || first.play.serial !== undefined ? [] : first.hosts;
}

/** Return transports whose end is the world's end, too. */
function closingBoth(transports: Transports, world: OpenWorld | undefined): Transports {
  if (world === undefined) return transports;
  const close = (): void => {
    transports.close();
    world.close();
  };
  return { ...transports, close };
}

/** Return the limits of a run of so many hosts. Fails with `USAGE`. */
export function limitsOf(options: RunOptions, hosts = 1): Limits {
  const concurrency =
    options.concurrency ?? (options.queue === undefined ? DEFAULTS.concurrency : Math.max(1, hosts));
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new VolleyError(
      "USAGE",
      `concurrency must be a whole number of 1 or more, not ${String(concurrency)}`,
    );
  }
  return {
    concurrency,
    playMs: options.hostTimeoutMs,
    graceMs: options.graceMs ?? DEFAULTS.graceMs,
    startMs: options.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
    returnMs: options.returnTimeoutMs ?? DEFAULTS.returnTimeoutMs,
  };
}

/** Name the run, and read what an earlier controller has written down of it. Fails with `USAGE` when there is no such run. */
export function planRecord(options: RunOptions, bundle: Bundle): Pick<Plan, "run" | "record" | "attached"> {
  const { attach, logDirectory } = options;
  const run = attach ?? makeRunId();
  if (logDirectory === false) {
    const attached = attach === undefined ? undefined : { events: [], changed: false };
    return { run, record: undefined, attached };
  }
  const directory = logDirectory ?? runsDirectory();
  const before = attach === undefined ? undefined : readRecord(directory, attach);
  return {
    run,
    record: {
      directory,
      startedAt: before?.startedAt ?? new Date().toISOString(),
      bundle: before?.bundle ?? bundle.id,
      options: recordable(options),
    },
    attached:
      before === undefined
        ? undefined
        : { events: readEvents(directory, before.run), changed: before.bundle !== bundle.id },
  };
}
