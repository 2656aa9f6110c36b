import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Outcome } from "../../core/events.ts";
import type { WorkCounts, WorkerStatus } from "./worker-status.ts";

/** A worker's metrics for Prometheus. The meter counts into them. */
export interface WorkerMetrics extends WorkCounts {
  /** Take the gauges from this account whenever metrics are asked for. */
  follow(status: () => WorkerStatus): void;
  /** The media type of {@link text}. */
  readonly contentType: string;
  /** Return all metrics in Prometheus' text format. */
  text(): Promise<string>;
}

const PREFIX = "volley_worker_";
const OUTCOMES: readonly Outcome[] = ["ok", "failed", "unreachable", "lost", "cancelled"];
const DURATION_BUCKETS_S = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
/** The event loop's delay is sampled that often, in ms: at prom-client's 10 ms an idle worker would wake up all the time. */
const LOOP_SAMPLE_MS = 100;

/** Make the metrics of a worker's process, beside those that prom-client knows of every process of Node. */
export function createMetrics(): WorkerMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = <Label extends string = never>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> => new Counter({ name: `${PREFIX}${name}`, help, labelNames, registers });

  const taken = counter("jobs_taken_total", "Jobs of hosts taken from the queue, by label.", "label");
  const began = counter("hosts_started_total", "Hosts that the controller has granted to the worker.");
  const ended = counter("hosts_ended_total", "Hosts whose part has ended, by outcome.", "outcome");
  const duration = new Histogram({
    name: `${PREFIX}host_duration_seconds`,
    help: "Time from the beginning of a host's part to its end.",
    buckets: DURATION_BUCKETS_S,
    registers,
  });
  const handedBack = counter("hosts_handed_back_total", "Hosts that were left to other workers.");
  const refused = counter(
    "refused_total",
    "Jobs and messages in the store that were refused: forged, changed or replayed.",
    "kind",
  );
  const events = counter("events_total", "Events sent to the controller.");
  // A counter that appears with its first increase has no rate for Prometheus at that time.
  for (const outcome of OUTCOMES) ended.inc({ outcome }, 0);
  for (const kind of ["job", "message"]) refused.inc({ kind }, 0);
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS });

  return {
    taken: (label) => taken.inc({ label }),
    began: () => began.inc(),
    ended(outcome, elapsedMs) {
      ended.inc({ outcome });
      duration.observe(elapsedMs / 1_000);
    },
    handedBack: () => handedBack.inc(),
    refused: (kind) => refused.inc({ kind }),
    event: (count) => events.inc(count),
    follow: (status) => addGauges(registry, status),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}

const GAUGES: readonly (readonly [name: string, help: string, value: (status: WorkerStatus) => number])[] = [
  ["concurrency_hosts", "Hosts that the worker carries out at a time, at most.", (each) => each.concurrency],
  ["hosts_offered", "Hosts that wait for the controller's grant.", (each) => each.offered],
  ["hosts_in_flight", "Hosts whose part the worker carries out.", (each) => each.inFlight],
  ["hosts_waiting", "Hosts in flight that wait at a barrier.", (each) => each.waiting],
  ["runs", "Runs with hosts in flight.", (each) => each.runs.length],
  ["queue_up", "1 while the queue's server answers, else 0.", (each) => Number(!each.isQueueAway)],
  ["stopping", "1 once the worker takes no more hosts, else 0.", (each) => Number(each.isStopping)],
];

function addGauges(registry: Registry, status: () => WorkerStatus): void {
  const registers = [registry];
  for (const [name, help, value] of GAUGES)
    new Gauge({
      name: `${PREFIX}${name}`,
      help,
      registers,
      collect() {
        this.set(value(status()));
      },
    });
  new Gauge({
    name: `${PREFIX}info`,
    help: "1, with the worker's name, labels and version of Volley.",
    labelNames: ["worker", "labels", "version"],
    registers,
    collect() {
      const { name, version, labels } = status();
      this.set({ worker: name, labels: labels.join(","), version }, 1);
    },
  });
}
