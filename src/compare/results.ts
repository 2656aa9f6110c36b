import {
  COMPARED_PHASES,
  type ComparedPhase,
  type Comparison,
  type Condition,
  type Sample,
  samplesOf,
} from "./comparison.ts";
import {
  type Interval,
  interquartileRange,
  isDistinct,
  median,
  medianInterval,
  medianSlope,
  type PairedRatio,
  pairedRatio,
} from "./statistics.ts";

/** The confidence of all intervals: at least this. */
export const CONFIDENCE = 0.95;

/** Numbers that a {@link Sample} has one of. */
export const MEASURES = [
  "wallMs",
  "controllerCpuMs",
  "remoteCpuMs",
  "sentBytes",
  "receivedBytes",
  "flights",
] as const satisfies readonly (keyof Sample)[];

/** One of them. */
export type Measure = (typeof MEASURES)[number];

/** The middle of several values and how far they lie apart. */
export interface Spread {
  readonly median: number;
  /** Between the quartiles. */
  readonly interquartileRange: number;
  readonly least: number;
  readonly most: number;
}

/** A ratio of two series of times, and whether it means anything. */
export interface Verdict extends PairedRatio {
  /** What the other is divided by. */
  readonly baseline: string;
  /** Whether the interval leaves 1 out. */
  readonly distinct: boolean;
}

/** What came of a method under a condition. */
export interface MethodResult {
  readonly method: string;
  readonly runs: number;
  /** Absent: not measured. */
  readonly measures: Readonly<Partial<Record<Measure, Spread>>>;
  /** Medians. */
  readonly phasesMs: Readonly<Partial<Record<ComparedPhase, number>>>;
  /** Of wall time, to the first method; absent of the first, and while there is no pair. */
  readonly ratio?: Verdict;
}

/** What came of all methods under one condition. */
export interface ConditionResult {
  readonly condition: Condition;
  readonly methods: readonly MethodResult[];
}

/** How a method's wall time relates, warm to cold. */
export interface CacheResult {
  readonly method: string;
  readonly roundTripMs: number;
  readonly ratio: Verdict;
}

/** By how much a method's wall time grows for each millisecond of round trip: the round trips it waits for. */
export interface SlopeResult {
  readonly method: string;
  readonly cache: Condition["cache"];
  /** Median over the rounds. */
  readonly roundTrips: number;
  /** Undefined where there are too few rounds. */
  readonly interval: Interval | undefined;
}

/** What the samples of a comparison say. */
export interface Results {
  readonly confidence: number;
  readonly conditions: readonly ConditionResult[];
  readonly caches: readonly CacheResult[];
  /** Empty unless several times were added. */
  readonly slopes: readonly SlopeResult[];
}

/** Works it out. */
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
      // What else is compared does not know of our caches.
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
      // Without a proxy there was no delay.
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

/** Of a measure that some samples lack there is none: a median of the others would be of something else. */
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
