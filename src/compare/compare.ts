import { setMaxListeners } from "node:events";
import { VolleyError } from "../core/errors.ts";
import { TALLY_KEYS } from "../core/result.ts";
import { cpuBetween, createHostControl, ownMachine, readCpu, whyNotMeasurable } from "./commands.ts";
import {
  type CacheState,
  type Comparison,
  type Condition,
  type HostResult,
  INVENTORY_PLACEHOLDER,
  type MeasuredRoundTrip,
  type Method,
  type Sample,
} from "./comparison.ts";
import { measureRoundTrip } from "./proxy.ts";
import { type HostsOptions, openHosts, openRoad, type Road } from "./road.ts";
import { type CpuMeter, type SamplerOptions, type Taken, takeSample } from "./sampler.ts";
import { median } from "./statistics.ts";

/** Readings taken to measure the cost of one. */
const CALIBRATING_READINGS = 5;

/** Options of a comparison. */
export interface CompareOptions
  extends HostsOptions,
    Pick<
      SamplerOptions,
      "program" | "runArguments" | "environment" | "ownEnvironment" | "reset" | "resetHosts"
    > {
  readonly methods: readonly Method[];
  /** Runs of each method under each condition. */
  readonly runs: number;
  /** Runs of each method before the counted ones. */
  readonly warmUps: number;
  readonly caches: readonly CacheState[];
  /** Times of a round trip to add, in milliseconds. */
  readonly roundTripsMs: readonly number[];
  onProgress(progress: CompareProgress): void;
}

/** Progress of a comparison. */
export interface CompareProgress {
  /** Finished runs, warm-ups included. */
  readonly done: number;
  readonly total: number;
  readonly method: string;
  readonly condition: Condition;
  /** Counted from 1; 0 is a warm-up. */
  readonly round: number;
  /** Undefined while the run goes on. */
  readonly wallMs: number | undefined;
}

/**
 * Run each method in turn on the same hosts; returns the measurements, when cancelled those taken so far. Fails with
 * `COMPARE_FAILED` when a run fails or two runs have not done the same, and as a run does before it touches a host.
 */
export async function compareRuns(options: CompareOptions): Promise<Comparison> {
  const { methods, caches, roundTripsMs, runs, warmUps, signal } = options;
  setMaxListeners(0, signal);
  const startedAtMs = Date.now();
  const startMs = performance.now();
  const planned = await openHosts(options);
  const { playbook, hosts, transports } = planned;
  const control = createHostControl(hosts.map((host) => ({ name: host.name, ...transports.of(host) })));
  const conditions = roundTripsMs.flatMap((roundTripMs) =>
    caches.map((cache): Condition => ({ cache, roundTripMs })),
  );
  try {
    const road = await openRoad(planned);
    try {
      const sampler = { ...options, hosts: hosts.length, control, road };
      const measured = await measure(options, conditions, sampler);
      return {
        playbook,
        hosts: hosts.map(({ name }) => name),
        startedAtMs,
        elapsedMs: performance.now() - startMs,
        methods,
        conditions,
        runs,
        warmUps,
        ...measured,
        cancelled: signal.aborted,
      };
    } finally {
      road.close();
    }
  } finally {
    control.close();
    transports.close();
  }
}

type Measured = Pick<Comparison, "roundTrips" | "remoteCpu" | "samples" | "notes">;

/** Take all samples, or those until the cancellation. */
async function measure(
  { methods, roundTripsMs, runs, warmUps, signal, onProgress }: CompareOptions,
  conditions: readonly Condition[],
  sampler: SamplerOptions,
): Promise<Measured> {
  const samples: Sample[] = [];
  const roundTrips: MeasuredRoundTrip[] = [];
  const bundles = new Set<string>();
  const notes = createNotes(sampler.road);
  const total = methods.length * (warmUps + runs * conditions.length);
  let cpuMeter: CpuMeter = { source: "none", readingMs: 0 };
  let done = 0;
  const take = async (method: Method, condition: Condition, round: number): Promise<void> => {
    const progress = { total, method: method.name, condition, round };
    onProgress({ ...progress, done, wallMs: undefined });
    const taken = await takeSample({ method, ...condition, round, cpuMeter, bundles }, sampler);
    done++;
    if (taken.bundle !== undefined) bundles.add(taken.bundle);
    notes.take(method, condition, round, taken);
    if (round > 0) {
      const first = samples.find((sample) => sample.hosts.length > 0);
      if (first !== undefined) requireAgreement(first, taken.sample);
      samples.push(taken.sample);
    }
    onProgress({ ...progress, done, wallMs: taken.sample.wallMs });
  };
  try {
    for (const addedMs of roundTripsMs)
      roundTrips.push({ addedMs, measuredMs: await measureRoundTrip(addedMs) });
    for (let warmUp = 0; warmUp < warmUps; warmUp++)
      for (const method of methods) await take(method, { cache: "warm", roundTripMs: 0 }, 0);
    cpuMeter = await openCpuMeter(methods, sampler, notes);
    const entries = conditions.flatMap((condition) => methods.map((method) => ({ method, condition })));
    for (let round = 1; round <= runs; round++)
      for (const { method, condition } of orderOfRound(entries, round)) await take(method, condition, round);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
  return { roundTrips, remoteCpu: cpuMeter.source, samples, notes: notes.all() };
}

/** Choose one source of processor time for all methods: two sources cannot be compared. */
async function openCpuMeter(
  methods: readonly Method[],
  { control, signal }: SamplerOptions,
  notes: Notes,
): Promise<CpuMeter> {
  const first = await readCpu(control, signal);
  const why = whyNotMeasurable(first, ownMachine());
  if (why !== undefined) {
    const tells = methods.some((method) => method.kind === "volley" && method.via === "bundle");
    notes.noCgroup(why, tells);
    return { source: tells ? "target" : "none", readingMs: 0 };
  }
  const costs: number[] = [];
  let before = first;
  for (let reading = 0; reading < CALIBRATING_READINGS; reading++) {
    const after = await readCpu(control, signal);
    costs.push(cpuBetween(before, after) ?? 0);
    before = after;
  }
  return { source: "cgroup", readingMs: median(costs) ?? 0 };
}

/**
 * Put the entries of a round, counted from 1, in order: as given, and reversed in every second round, so that a drift
 * over time (a processor that grows warm, a cache that fills) affects all alike.
 */
export function orderOfRound<T>(entries: readonly T[], round: number): readonly T[] {
  return round % 2 === 1 ? entries : [...entries].reverse();
}

type Told = Pick<Sample, "method" | "cache" | "round" | "hosts">;

const MAX_NAMED = 3;

/**
 * Refuse a run that has done something else than the first: the two cannot be compared. Runs that report no hosts are
 * passed over. Fails with `COMPARE_FAILED`.
 */
export function requireAgreement(first: Told, other: Told): void {
  if (first.hosts.length === 0 || other.hosts.length === 0) return;
  const before = new Map(first.hosts.map((host) => [host.host, describeResult(host)]));
  const after = new Map(other.hosts.map((host) => [host.host, describeResult(host)]));
  const differing = [...new Set([...before.keys(), ...after.keys()])].filter(
    (host) => before.get(host) !== after.get(host),
  );
  if (differing.length === 0) return;
  const named = differing
    .slice(0, MAX_NAMED)
    .map((host) => `${host}: ${before.get(host) ?? "not there"}, then ${after.get(host) ?? "not there"}`);
  const more = differing.length > MAX_NAMED ? `; and ${differing.length - MAX_NAMED} more hosts` : "";
  throw new VolleyError(
    "COMPARE_FAILED",
    `${nameOf(first)} and ${nameOf(other)} did not do the same, so they are not compared: ${named.join("; ")}${more}`,
    { hint: "bring the hosts to the same state before every run with --reset or --reset-hosts" },
  );
}

function nameOf({ method, cache, round }: Told): string {
  return `${method} (${cache}, run ${round})`;
}

function describeResult({ outcome, tally }: HostResult): string {
  const counts = TALLY_KEYS.filter((key) => tally[key] > 0).map(
    (key) => `${tally[key]} ${key === "notExecuted" ? "not executed" : key}`,
  );
  return `${outcome} with ${counts.join(", ") || "no tasks"}`;
}

/** Gathers notes for the reader about missing measurements, each once. */
export interface Notes {
  /** Look at a run. Fails with `COMPARE_FAILED` when one of Volley's own runs did not get the delay asked for. */
  take(method: Method, condition: Condition, round: number, taken: Taken): void;
  /** Note why cgroups do not tell the hosts' processor time; `tells`: some agents report theirs. */
  noCgroup(reason: string, tells: boolean): void;
  all(): readonly string[];
}

/** Make {@link Notes}. */
export function createNotes({ endpoints: expected }: Pick<Road, "endpoints">): Notes {
  const notes = new Set<string>();
  return {
    take: (method, { cache, roundTripMs }, round, { endpoints, hostsWithBundle }) => {
      if (endpoints === 0) {
        if (method.kind === "volley" && roundTripMs > 0) {
          throw new VolleyError(
            "COMPARE_FAILED",
            "no delay can be added: these hosts are not reached over ssh2, so nothing passes through the proxies",
          );
        }
        notes.add(uncounted(method));
      } else if (endpoints < expected) {
        notes.add(
          `${method.name}: only ${endpoints} of ${expected} hosts were reached through the proxies; bytes and delays are those of these`,
        );
      }
      if (cache === "cold" && round > 0 && method.kind === "volley" && method.via === "bundle") {
        const [host] = hostsWithBundle;
        if (host !== undefined)
          notes.add(
            `cold: ${host} had the bundle all the same, kept by another user than the one who logs in`,
          );
      }
    },
    noCgroup: (reason, tells) => {
      notes.add(
        tells
          ? `Remote CPU is what bundles tell of themselves, their children included and sshd not, and is not known of other methods: ${reason}.`
          : `Remote CPU was not measured: ${reason}.`,
      );
    },
    all: () => [...notes],
  };
}

function uncounted({ kind, name }: Method): string {
  const how =
    kind === "command"
      ? `; a command goes through them when it uses ${INVENTORY_PLACEHOLDER} or $VOLLEY_INVENTORY`
      : "";
  return `${name}: its connections did not go through the proxies, so bytes and round trips were not counted and no delay was added${how}`;
}
