import type { SerializedError } from "../../core/errors.ts";
import type { HostSummary, Outcome, Summary } from "../../core/events.ts";
import { tallyTotal } from "../../core/result.ts";
import { taskTitle } from "../rows/wording.ts";

/** Hosts with the same failure. */
export interface FailureGroup {
  readonly hosts: readonly string[];
  /** `failed` for a task that failed; else the outcome of the hosts. */
  readonly outcome: Exclude<Outcome, "ok">;
  /** The task that failed; absent when the host itself did. */
  readonly task?: string;
  /** The error of the first host; absent when a host was cancelled without a reason. */
  readonly error?: SerializedError;
  /** False when the hosts ended before any of their tasks was known. */
  readonly started: boolean;
  /** The last lines printed on the first of the hosts. */
  readonly output: readonly string[];
  /** True when all hosts have exactly the same message. */
  readonly identical: boolean;
}

type Entry = Omit<FailureGroup, "hosts" | "identical"> & { readonly host: string };

/** Group the failures of a run, equal ones of many hosts once; the most widespread last, nearest the prompt. */
export function groupFailures(summary: Summary): readonly FailureGroup[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of summary.hosts.flatMap(entriesOf)) {
    const key = JSON.stringify([
      entry.outcome,
      entry.task,
      entry.started,
      entry.error?.code,
      commonForm(entry),
    ]);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()].map(toGroup).sort(byWeight);
}

function entriesOf(host: HostSummary): readonly Entry[] {
  const failures = host.failures.map(
    ({ role, name, error, output }): Entry => ({
      host: host.host,
      outcome: "failed",
      task: taskTitle({ role, name }),
      error,
      started: true,
      output,
    }),
  );
  const { outcome, error } = host;
  if (outcome === "ok") return failures;
  const alreadyTold =
    outcome === "failed" &&
    failures.length > 0 &&
    (error === undefined || failures.some((failure) => failure.error?.message === error.message));
  if (alreadyTold) return failures;
  const started = tallyTotal(host.tally) > 0;
  return [
    ...failures,
    { host: host.host, outcome, started, ...(error === undefined ? {} : { error }), output: [] },
  ];
}

/** Return the message without the host's name and addresses, which differ from host to host. */
function commonForm({ host, error }: Entry): string {
  return (error?.message ?? "").replaceAll(host, "HOST").replace(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g, "ADDRESS");
}

function toGroup(entries: readonly Entry[]): FailureGroup {
  const [{ host: _, ...first }] = entries as readonly [Entry, ...Entry[]];
  return {
    ...first,
    hosts: entries.map(({ host }) => host),
    identical: entries.every(({ error }) => error?.message === first.error?.message),
  };
}

const WEIGHT: Readonly<Record<FailureGroup["outcome"], number>> = {
  cancelled: 0,
  lost: 1,
  unreachable: 1,
  failed: 2,
};

function byWeight(one: FailureGroup, other: FailureGroup): number {
  return WEIGHT[one.outcome] - WEIGHT[other.outcome] || one.hosts.length - other.hosts.length;
}
