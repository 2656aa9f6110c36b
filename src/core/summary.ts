import type { ErrorCode } from "./errors.ts";
import type { Event, Failure, HostSummary, Outcome, Summary } from "./events.ts";
import { addTallies, countRescued, countResult, EMPTY_TALLY, type Tally } from "./result.ts";
import { isRecord } from "./values/value.ts";

const KEPT_OUTPUT_LINES = 20;
const KEPT_OUTPUT_CHARACTERS = 16_384;

/** Failures of one host that are kept. Code may catch any number of them before its role ends. */
export const MAX_FAILURES = 1_000;

interface HostFold {
  tally: Tally;
  /** The last failures that were not rescued, by the number of their task. Most hosts have none. */
  failures: Map<number, Failure> | undefined;
  /** Number of earlier failures, which were dropped, and not rescued so far. */
  droppedFailures: number;
  /** The last output of the task now running. */
  output: string;
  end: HostSummary | undefined;
}

/** A fold of a run's events into its Summary. */
export interface SummaryFold {
  add(event: Event): void;
  /** Return the tally of one host so far. */
  tallyOf(host: string): Tally;
  /** Return the summary of the run; hosts that have not ended count as cancelled. */
  summary(nowMs: number): Summary;
}

/** Start a fold. */
export function foldSummary(): SummaryFold {
  let run = "";
  let playbook = "";
  let check = false;
  let startedAt = 0;
  const hosts = new Map<string, HostFold>();
  const hostOf = (name: string): HostFold => {
    let host = hosts.get(name);
    if (host === undefined) {
      host = { tally: EMPTY_TALLY, failures: undefined, droppedFailures: 0, output: "", end: undefined };
      hosts.set(name, host);
    }
    return host;
  };

  const add = (event: Event): void => {
    switch (event.type) {
      case "run:start":
        ({ run, playbook, check } = event);
        startedAt = event.time;
        for (const name of event.hosts) hostOf(name);
        return;
      case "task:start":
        hostOf(event.host).output = "";
        return;
      case "task:output": {
        const host = hostOf(event.host);
        host.output = (host.output + event.text).slice(-KEPT_OUTPUT_CHARACTERS);
        return;
      }
      case "task:end": {
        const host = hostOf(event.host);
        const { result, role, name, task } = event;
        host.tally = countResult(host.tally, result);
        if (result.state === "failed" && result.ignored !== true && result.error !== undefined) {
          const away = isAway(result.data) ? { unreachable: true as const } : {};
          host.failures ??= new Map();
          host.failures.set(task, {
            ...{ role, name, error: result.error, output: lastLines(host.output) },
            ...away,
          });
          if (host.failures.size > MAX_FAILURES) {
            const [oldest] = host.failures.keys();
            host.failures.delete(oldest!);
            host.droppedFailures++;
          }
        }
        return;
      }
      case "task:rescued": {
        const host = hostOf(event.host);
        if (host.failures?.delete(event.task) !== true) {
          if (host.droppedFailures === 0) return;
          host.droppedFailures--;
        }
        host.tally = countRescued(host.tally);
        return;
      }
      case "host:end": {
        const host = hostOf(event.host);
        const { outcome, tally, elapsedMs, phases, uploadedBytes, error } = event;
        host.tally = tally;
        host.end = {
          host: event.host,
          outcome,
          tally,
          elapsedMs,
          phases,
          uploadedBytes,
          failures: [...(host.failures?.values() ?? [])],
          ...(error === undefined ? {} : { error }),
        };
        return;
      }
      default:
        return;
    }
  };

  const summary = (nowMs: number): Summary => {
    const ended = [...hosts].map(
      ([name, host]): HostSummary =>
        host.end ?? {
          host: name,
          outcome: "cancelled",
          tally: host.tally,
          elapsedMs: nowMs - startedAt,
          phases: {},
          uploadedBytes: 0,
          failures: [...(host.failures?.values() ?? [])],
        },
    );
    const outcomes: Record<Outcome, number> = { ok: 0, failed: 0, unreachable: 0, lost: 0, cancelled: 0 };
    for (const { outcome } of ended) outcomes[outcome]++;
    return {
      run,
      playbook,
      check,
      elapsedMs: nowMs - startedAt,
      hosts: ended,
      tally: addTallies(ended.map(({ tally }) => tally)),
      outcomes,
      exitCode: exitCodeOf(outcomes, ended),
    };
  };

  return { add, tallyOf: (name) => hosts.get(name)?.tally ?? EMPTY_TALLY, summary };
}

/** Return whether the data of a task, or of a pass of its loop, tell of a machine that could not be reached. */
function isAway(data: unknown): boolean {
  if (!isRecord(data)) return false;
  return data.unreachable === true || (Array.isArray(data.results) && data.results.some(isAway));
}

function lastLines(text: string): readonly string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .slice(-KEPT_OUTPUT_LINES);
}

/** Errors in the set-up of a host or of the controller, rather than in the network or a task. */
const SETUP_FAULTS: ReadonlySet<ErrorCode> = new Set([
  "AUTH_FAILED",
  "HOST_KEY_UNKNOWN",
  "HOST_KEY_CHANGED",
  "UPLOAD_FAILED",
  "NODE_MISSING",
  "BECOME_FAILED",
  "SESSION_REFUSED",
  "PROTOCOL_INVALID",
]);

/**
 * Return a run's exit code: 130 when a host was cancelled, except because other hosts had failed; else 1 when set-up
 * faults kept every host from being started; else 4 when a host could not be reached or was lost, or a task could not be
 * delegated to its machine for that; else 2 when a host
 * failed; else 0.
 */
export function exitCodeOf(
  outcomes: Readonly<Record<Outcome, number>>,
  hosts: readonly (Pick<HostSummary, "phases" | "error"> & Partial<Pick<HostSummary, "failures">>)[] = [],
): number {
  const heldBack = hosts.filter(({ error }) => error?.code === "OTHERS_FAILED").length;
  if (outcomes.cancelled > heldBack) return 130;
  if (hosts.length > 0 && hosts.every(neverSetUp)) return 1;
  if (outcomes.unreachable > 0 || outcomes.lost > 0) return 4;
  if (hosts.some(({ failures = [] }) => failures.some(({ unreachable }) => unreachable))) return 4;
  return outcomes.failed > 0 ? 2 : 0;
}

function neverSetUp({ phases, error }: Pick<HostSummary, "phases" | "error">): boolean {
  return phases.start === undefined && error !== undefined && SETUP_FAULTS.has(error.code);
}
