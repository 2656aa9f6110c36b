import type { Phase } from "../../core/events.ts";

/** A part of a method's time: what a run tells of per host, and the build before it. */
export type ComparedPhase = "build" | Phase;

/** One timed run of a method. */
export interface ComparedSample {
  /** From start to end, in milliseconds. */
  readonly wallMs: number;
  /** Exit code of the run; a sample that is not 0 is told of, and not among the distributions. */
  readonly exitCode?: number;
  /** Name of the run, where it has one. */
  readonly run?: string;
}

/** A ratio of two methods' times, with its confidence interval. */
export interface ComparedRatio {
  /** The method divided by; a `label` of {@link ComparePageData.methods}. */
  readonly baseline: string;
  /** Point estimate: the ratio of medians, or of means where `means` is true. Below 1 is faster than the baseline. */
  readonly median: number;
  /** Lower end of the confidence interval. */
  readonly low: number;
  /** Upper end of the confidence interval. */
  readonly high: number;
  /** True when the ratio is one of means rather than of medians. */
  readonly means: boolean;
}

/** One method under one condition: everything measured of it. */
export interface ComparedMethod {
  /** What it is called wherever it is shown: `volley bundle`, `volley direct`, `Ansible, pipelining`. */
  readonly label: string;
  /** What was started, for the reader who wants to do it again. */
  readonly command?: string;
  readonly version?: string;
  /** Runs that were counted, in the order they were made. */
  readonly samples: readonly ComparedSample[];
  /** Median over samples of each phase's median over hosts, in milliseconds; of a method that does not tell: absent. */
  readonly phasesMs?: Readonly<Partial<Record<ComparedPhase, number>>>;
  /** Bytes between controller and hosts, both ways together, per run and over all hosts; median over samples. */
  readonly bytes?: { readonly sent: number; readonly received: number };
  /** Waits for an answer from one host, one after the other; median over samples and hosts. */
  readonly roundTrips?: number;
  /** Ratios of this method's times to others'; none of the baseline itself. */
  readonly ratios?: readonly ComparedRatio[];
  /** Why there are no samples: `not installed`. */
  readonly missing?: string;
}

/** Methods measured under one condition, such as a round-trip time added to the network. */
export interface ComparedGroup {
  /** `no delay added`, `20 ms round trip`, `first run`, `second run (nothing to change)`. */
  readonly label: string;
  /** Round-trip time that was added, in milliseconds; absent where that is not what tells groups apart. */
  readonly roundTripMs?: number;
  /** In the order they are shown; the same labels in the same order in each group. */
  readonly methods: readonly ComparedMethod[];
}

/** How many round trips a method waits for, one after the other, by how its time grows with distance. */
export interface ComparedSlope {
  /** A `label` of {@link ComparedMethod}. */
  readonly method: string;
  /** What was the same at all distances: `cold caches`. */
  readonly condition: string;
  /** Growth of wall time for each millisecond of round trip: median over the rounds. */
  readonly roundTrips: number;
  /** Its confidence interval; absent where there were too few rounds. */
  readonly interval?: { readonly low: number; readonly high: number };
}

/** What the page of `volley compare` is made from. */
export interface ComparePageData {
  /** Title of the page: `site.ts on 3 hosts`. */
  readonly title: string;
  readonly playbook: string;
  readonly hosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** What was done, how often, in what order, and how intervals were computed; a paragraph each. */
  readonly notes: readonly string[];
  /** The machine and the versions it was measured with: `["Processor", "2 cores"]`. */
  readonly environment: readonly (readonly [name: string, value: string])[];
  /** Confidence of the intervals, such as 0.95. */
  readonly confidence: number;
  readonly groups: readonly ComparedGroup[];
  /** Empty unless there was more than one distance. */
  readonly slopes: readonly ComparedSlope[];
}
