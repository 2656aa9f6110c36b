import { COMPARED_PHASES, type ComparedPhase } from "../reporter/timing.ts";
import { type Comparison, type Condition, type Sample, samplesOf } from "./comparison.ts";
import {
  type Interval,
  interquartileRange,
  isDistinct,
  leastForInterval,
  median,
  medianInterval,
  medianSlope,
  type PairedRatio,
  pairedRatio,
} from "./statistics.ts";

// The results of a comparison, computed from its samples, and put in words.

/** The least confidence of all intervals. */
export const CONFIDENCE = 0.95;

/** The measures of a {@link Sample}. */
export const MEASURES = [
  "wallMs",
  "controllerCpuMs",
  "remoteCpuMs",
  "sentBytes",
  "receivedBytes",
  "flights",
] as const satisfies readonly (keyof Sample)[];

/** A measure of a {@link Sample}. */
export type Measure = (typeof MEASURES)[number];

/** The median and the spread of several values. */
export interface Spread {
  readonly median: number;
  /** Between the quartiles. */
  readonly interquartileRange: number;
  readonly least: number;
  readonly most: number;
}

/** A ratio of two series of times, and whether it is distinct from 1. */
export interface Verdict extends PairedRatio {
  /** The series to divide by. */
  readonly baseline: string;
  /** True when the interval does not contain 1. */
  readonly distinct: boolean;
}

/** The result of a method under a condition. */
export interface MethodResult {
  readonly method: string;
  readonly runs: number;
  /** Absent: not measured. */
  readonly measures: Readonly<Partial<Record<Measure, Spread>>>;
  /** Medians. */
  readonly phasesMs: Readonly<Partial<Record<ComparedPhase, number>>>;
  /** Ratio of wall time to the first method; absent of the first method, and while there is no pair. */
  readonly ratio?: Verdict;
}

/** The results of all methods under one condition. */
export interface ConditionResult {
  readonly condition: Condition;
  readonly methods: readonly MethodResult[];
}

/** The ratio of a method's wall times, warm to cold. */
export interface CacheResult {
  readonly method: string;
  readonly roundTripMs: number;
  readonly ratio: Verdict;
}

/** The growth of a method's wall time for each millisecond of round trip: the round trips that it waits for. */
export interface SlopeResult {
  readonly method: string;
  readonly cache: Condition["cache"];
  /** Median over the rounds. */
  readonly roundTrips: number;
  /** Undefined where there are too few rounds. */
  readonly interval: Interval | undefined;
}

/** The results of a comparison. */
export interface Results {
  readonly confidence: number;
  readonly conditions: readonly ConditionResult[];
  readonly caches: readonly CacheResult[];
  /** Empty unless several times were added. */
  readonly slopes: readonly SlopeResult[];
}

/** Compute the results of a comparison. */
export function resultsOf(comparison: Comparison): Results {
  return {
    confidence: CONFIDENCE,
    conditions: comparison.conditions.map((condition) => conditionResult(comparison, condition)),
    caches: cacheResults(comparison),
    slopes: slopeResults(comparison),
  };
}

function conditionResult({ samples, methods }: Comparison, condition: Condition): ConditionResult {
  const first = methods[0]!.name;
  const baseline = samplesOf(samples, first, condition);
  return {
    condition,
    methods: methods.map(({ name }): MethodResult => {
      const mine = samplesOf(samples, name, condition);
      const ratio = name === first ? undefined : verdictOf(mine, baseline, first);
      return {
        method: name,
        runs: mine.length,
        measures: present(MEASURES, (measure) => spreadOf(mine.map((sample) => sample[measure]))),
        phasesMs: present(COMPARED_PHASES, (phase) =>
          median(known(mine.map(({ phasesMs }) => phasesMs[phase]))),
        ),
        ...(ratio === undefined ? {} : { ratio }),
      };
    }),
  };
}

function cacheResults({ samples, methods, conditions }: Comparison): readonly CacheResult[] {
  const roundTrips = [...new Set(conditions.map(({ roundTripMs }) => roundTripMs))];
  return roundTrips.flatMap((roundTripMs) =>
    methods.flatMap(({ kind, name }) => {
      // Only Volley's own runs use its caches.
      if (kind !== "volley") return [];
      const [warm, cold] = (["warm", "cold"] as const).map((cache) =>
        samplesOf(samples, name, { cache, roundTripMs }),
      );
      const ratio = verdictOf(warm ?? [], cold ?? [], "cold");
      return ratio === undefined ? [] : [{ method: name, roundTripMs, ratio }];
    }),
  );
}

function slopeResults({
  samples,
  methods,
  conditions,
  roundTrips: added,
}: Comparison): readonly SlopeResult[] {
  const measured = new Map(added.map(({ addedMs, measuredMs }) => [addedMs, measuredMs]));
  const caches = [...new Set(conditions.map(({ cache }) => cache))];
  return methods.flatMap(({ name }) =>
    caches.flatMap((cache) => {
      // Samples without a proxy had no delay.
      const mine = samples.filter(
        (each) => each.method === name && each.cache === cache && each.flights !== undefined,
      );
      // Within a round little drifts.
      const slopes = [...new Set(mine.map(({ round }) => round))].map((round) =>
        medianSlope(
          mine
            .filter((each) => each.round === round)
            .map(({ roundTripMs, wallMs }) => [measured.get(roundTripMs) ?? roundTripMs, wallMs]),
        ),
      );
      const roundTrips = median(known(slopes));
      if (roundTrips === undefined) return [];
      return [{ method: name, cache, roundTrips, interval: medianInterval(known(slopes), CONFIDENCE) }];
    }),
  );
}

/** Samples of the same round are pairs. */
function verdictOf(
  mine: readonly Sample[],
  others: readonly Sample[],
  baseline: string,
): Verdict | undefined {
  const wallOf = new Map(others.map(({ round, wallMs }) => [round, wallMs]));
  const ratio = pairedRatio(
    mine.map(({ wallMs }) => wallMs),
    mine.map(({ round }) => wallOf.get(round)),
    CONFIDENCE,
  );
  return ratio === undefined ? undefined : { ...ratio, baseline, distinct: isDistinct(ratio) };
}

/** Where some samples lack a measure, the median of the others would be misleading. */
function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const there = known(values);
  if (there.length === 0 || there.length < values.length) return undefined;
  return {
    median: median(there)!,
    interquartileRange: interquartileRange(there)!,
    least: Math.min(...there),
    most: Math.max(...there),
  };
}

function known(values: readonly (number | undefined)[]): readonly number[] {
  return values.filter((value) => value !== undefined);
}

function present<Key extends string, Value>(
  keys: readonly Key[],
  pick: (key: Key) => Value | undefined,
): Readonly<Partial<Record<Key, Value>>> {
  const entries = keys.map((key) => [key, pick(key)] as const).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Record<Key, Value>>;
}

/** Describe a ratio in a few words: `faster`, `slower`, or why neither can be told. */
export function meaningOf({
  distinct,
  interval,
  median,
}: Pick<Verdict, "distinct" | "interval" | "median">): string {
  if (interval === undefined) return "too few runs";
  if (!distinct) return "no difference";
  return median < 1 ? "faster" : "slower";
}

/**
 * Describe a ratio in a sentence: `direct takes 0.79 times as long as bundle (95 % interval 0.74 to 0.83, 10 pairs): it
 * is faster`.
 */
export function verdictSentence(method: string, verdict: Verdict, baseline: string): string {
  const { median, interval, pairs } = verdict;
  const lead = `${method} takes ${formatRatio(median)} times as long as ${baseline}`;
  const pairsText = `${pairs} pair${pairs === 1 ? "" : "s"}`;
  if (interval === undefined) {
    return `${lead} (${pairsText}): too few for an interval, ${leastForInterval(CONFIDENCE)} are needed`;
  }
  const range = `${percent(interval.coverage)} interval ${formatRatio(interval.low)} to ${formatRatio(interval.high)}, ${pairsText}`;
  const meaning = { faster: "it is faster", slower: "it is slower" }[meaningOf(verdict)];
  return `${lead} (${range}): ${meaning ?? "no difference can be told from chance"}`;
}

/** Compare a method's runs with warm and with cold caches in a sentence. */
export function cacheSentence({ method, roundTripMs, ratio }: CacheResult): string {
  const where = roundTripMs === 0 ? "" : ` at ${roundTripMs} ms`;
  return verdictSentence(`${method} with warm caches${where}`, ratio, "with cold ones");
}

/** Describe how many round trips a method waits for one after the other, by the growth of its time with distance. */
export function slopeSentence({ method, cache, roundTrips, interval }: SlopeResult): string {
  const range =
    interval === undefined
      ? ""
      : ` (${percent(interval.coverage)} interval ${interval.low.toFixed(1)} to ${interval.high.toFixed(1)})`;
  return `${method}, ${cache} caches: waits for ${roundTrips.toFixed(1)} round trips${range}`;
}

/** Format a ratio with at least two significant digits. */
export function formatRatio(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(1) : ratio >= 0.1 ? ratio.toFixed(2) : ratio.toPrecision(2);
}

/** Describe how the comparison was measured, a paragraph each. */
export function methodNotes(comparison: Comparison): readonly string[] {
  const { methods, runs, warmUps, roundTrips, conditions, hosts } = comparison;
  const added = roundTrips.filter(({ addedMs }) => addedMs > 0);
  const cold = conditions.some(({ cache }) => cache === "cold");
  return [
    `Each method was run ${runs} times in turn on the same ${hosts.length === 1 ? "host" : `${hosts.length} hosts`}, in every second round in the opposite order, after ${warmUps} run${warmUps === 1 ? "" : "s"} of each that ${warmUps === 1 ? "is" : "are"} not counted. Each run is a process of its own, timed from its start to its end.`,
    ...(cold
      ? [
          "Cold: before each run the bundle is removed from the hosts, and the controller's build cache is empty.",
        ]
      : []),
    `Ratios are medians of the ratios of runs of the same round; intervals are those of the sign test, which assume no distribution, with a confidence of at least ${percent(CONFIDENCE)}. A difference is told where the interval leaves 1 out.`,
    "All connections go through TCP proxies on this machine, which count bytes and how often the controller speaks after a host has (flights).",
    ...(added.length === 0
      ? []
      : [
          "Round trips waited for are the growth of wall time for each millisecond of round trip, within rounds: median over the rounds.",
          `The proxies add the time of a round trip, half each way, and nothing else that a distance has: ${added.map(({ addedMs, measuredMs }) => `${addedMs} ms asked for, ${measuredMs.toFixed(1)} ms measured`).join("; ")}.`,
        ]),
    ...(comparison.remoteCpu === "cgroup"
      ? [
          "Remote CPU is what all sessions of the login user took on the hosts together, sshd's part in them and sudo included (cgroup v2); services that a run starts are not among them. What reading it takes is left out.",
        ]
      : []),
    ...(methods.some(({ kind }) => kind === "command")
      ? [
          "The processor time of a process that leaves its parent, such as ssh's ControlPersist, is not counted.",
        ]
      : []),
    ...(comparison.cancelled ? ["The comparison was ended early."] : []),
    ...comparison.notes,
  ];
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))} %`;
}
