import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import type {
  ComparedGroup,
  ComparedMethod,
  ComparedSlope,
  ComparePageData,
} from "../reporter/html/compare-page.ts";
import { type Comparison, conditionLabel, type Method, samplesOf } from "./comparison.ts";
import type { ConditionResult, MethodResult, Results, SlopeResult } from "./results.ts";
import { cacheSentence, methodNotes } from "./wording.ts";

/** What the page needs beside what was measured. */
export interface PageContext {
  /** Volley's. */
  readonly version: string;
}

/** The data of the HTML page. */
export function toPageData(
  comparison: Comparison,
  results: Results,
  { version }: PageContext,
): ComparePageData {
  const { playbook, hosts, startedAtMs } = comparison;
  return {
    title: `${playbook} on ${hosts.length === 1 ? "1 host" : `${hosts.length} hosts`}`,
    playbook,
    hosts,
    startedAtMs,
    notes: [...results.caches.map(cacheSentence), ...methodNotes(comparison)],
    environment: [
      ["Volley", version],
      ["Node", process.version],
      ["System", `${type()} ${release()}`],
      ["Processor", `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`],
      ["Memory", `${(totalmem() / 2 ** 30).toFixed(1)} GB`],
    ],
    confidence: results.confidence,
    groups: results.conditions.map((each) => groupOf(comparison, each)),
    slopes: results.slopes.map(slopeOf),
  };
}

function slopeOf({ method, cache, roundTrips, interval }: SlopeResult): ComparedSlope {
  return {
    method,
    condition: `${cache} caches`,
    roundTrips,
    ...(interval === undefined ? {} : { interval: { low: interval.low, high: interval.high } }),
  };
}

function groupOf(comparison: Comparison, { condition, methods }: ConditionResult): ComparedGroup {
  return {
    label: conditionLabel(condition),
    roundTripMs: condition.roundTripMs,
    methods: methods.map((result, index): ComparedMethod => {
      const { measures, phasesMs, ratio, method } = result;
      const samples = samplesOf(comparison.samples, method, condition);
      const bytes = bytesOf(result);
      const { flights } = measures;
      return {
        label: method,
        command: commandOf(comparison.methods[index]!, comparison.playbook),
        samples: samples.map(({ wallMs, run }) => ({ wallMs, ...(run === undefined ? {} : { run }) })),
        ...(Object.keys(phasesMs).length === 0 ? {} : { phasesMs }),
        ...(bytes === undefined ? {} : { bytes }),
        ...(flights === undefined ? {} : { roundTrips: Math.round(flights.median) }),
        ...(ratio?.interval === undefined
          ? {}
          : {
              ratios: [
                {
                  baseline: ratio.baseline,
                  median: ratio.median,
                  low: ratio.interval.low,
                  high: ratio.interval.high,
                  means: false,
                },
              ],
            }),
        ...(samples.length === 0 ? { missing: "ended before its first run" } : {}),
      };
    }),
  };
}

function bytesOf({ measures }: MethodResult): ComparedMethod["bytes"] {
  const { sentBytes, receivedBytes } = measures;
  if (sentBytes === undefined || receivedBytes === undefined) return undefined;
  return { sent: sentBytes.median, received: receivedBytes.median };
}

function commandOf(method: Method, playbook: string): string {
  return method.kind === "command" ? method.line : `volley run ${playbook} --via ${method.via}`;
}
