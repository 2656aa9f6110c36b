import type { Comparison } from "./comparison.ts";
import { type CacheResult, CONFIDENCE, type SlopeResult, type Verdict } from "./results.ts";
import { leastForInterval } from "./statistics.ts";

/** What a ratio means, in a few words: `faster`, `slower`, or why that cannot be told. */
export function meaningOf({
  distinct,
  interval,
  median,
}: Pick<Verdict, "distinct" | "interval" | "median">): string {
  if (interval === undefined) return "too few runs";
  if (!distinct) return "no difference";
  return median < 1 ? "faster" : "slower";
}

/** A ratio as a sentence: `direct takes 0.79 of the time of bundle (95 % interval 0.74 to 0.83, 10 pairs): it is faster`. */
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

/** A method with caches and without, as a sentence. */
export function cacheSentence({ method, roundTripMs, ratio }: CacheResult): string {
  const where = roundTripMs === 0 ? "" : ` at ${roundTripMs} ms`;
  return verdictSentence(`${method} with warm caches${where}`, ratio, "with cold ones");
}

/** How many round trips a method waits for one after the other, by how its time grows with distance. */
export function slopeSentence({ method, cache, roundTrips, interval }: SlopeResult): string {
  const range =
    interval === undefined
      ? ""
      : ` (${percent(interval.coverage)} interval ${interval.low.toFixed(1)} to ${interval.high.toFixed(1)})`;
  return `${method}, ${cache} caches: waits for ${roundTrips.toFixed(1)} round trips${range}`;
}

/** A ratio with two or more digits that count. */
export function formatRatio(ratio: number): string {
  return ratio >= 10 ? ratio.toFixed(1) : ratio >= 0.1 ? ratio.toFixed(2) : ratio.toPrecision(2);
}

/** How it was measured, a paragraph each, for a reader who was not there. */
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
