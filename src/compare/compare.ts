import { setMaxListeners } from "node:events";
import { requireAgreement } from "./agreement.ts";
import type { CacheState, Comparison, Condition, MeasuredRoundTrip, Method, Sample } from "./comparison.ts";
import { createHostControl } from "./host-control.ts";
import { type HostsOptions, openHosts } from "./hosts.ts";
import { measureRoundTrip } from "./measured-delay.ts";
import { createNotes, type Notes } from "./notes.ts";
import { orderOfRound } from "./order.ts";
import { cpuBetween, ownMachine, whyNotMeasurable } from "./remote-cpu.ts";
import { openRoad } from "./road.ts";
import { type CpuMeter, readCpu, type SamplerOptions, takeSample } from "./sampler.ts";
import { median } from "./statistics.ts";

/** Readings that are taken to know what one costs. */
const CALIBRATING_READINGS = 5;

/** What is compared, and how. */
export interface CompareOptions
  extends HostsOptions,
    Pick<
      SamplerOptions,
      "program" | "runArguments" | "environment" | "ownEnvironment" | "reset" | "resetHosts"
    > {
  readonly methods: readonly Method[];
  /** Of each method under each condition. */
  readonly runs: number;
  /** Runs of each method that are not counted, before those that are. */
  readonly warmUps: number;
  readonly caches: readonly CacheState[];
  /** Times of a round trip to add, in milliseconds. */
  readonly roundTripsMs: readonly number[];
  onProgress(progress: CompareProgress): void;
}

/** How far a comparison is. */
export interface CompareProgress {
  /** Runs that are over, warm-ups included. */
  readonly done: number;
  readonly total: number;
  readonly method: string;
  readonly condition: Condition;
  /** Counted from 1; 0 is a warm-up. */
  readonly round: number;
  /** Undefined while it runs. */
  readonly wallMs: number | undefined;
}

/**
 * Runs each method in turn on the same hosts, and gives what was measured; when it is cancelled, what there is by then.
 * Fails with `COMPARE_FAILED` when a run fails or two have not done the same, and as a run does before it touches a host.
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

/** Takes all samples, or those there are until it is cancelled. */
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

/** One source for all methods: what two sources say cannot be compared. */
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
