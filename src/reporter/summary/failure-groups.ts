import type { SerializedError } from "../../core/errors.ts";
import type { HostSummary, Outcome, Summary } from "../../core/events.ts";
import { tallyTotal } from "../../core/result.ts";
import { taskTitle } from "../rows/wording.ts";

/** Hosts on which the same thing went wrong. */
export interface FailureGroup {
  readonly hosts: readonly string[];
  /** `failed` for a task that failed; else how the hosts ended. */
  readonly outcome: Exclude<Outcome, "ok">;
  /** The task that failed; absent when it was the host itself. */
  readonly task?: string;
  /** What the first of the hosts said; absent when a host was cancelled without a reason. */
  readonly error?: SerializedError;
  /** False when the hosts ended before any of their tasks was known. */
  readonly started: boolean;
  /** The last lines printed on the first of the hosts. */
  readonly output: readonly string[];
  /** True when all hosts said exactly the same. */
  readonly identical: boolean;
}

type Entry = Omit<FailureGroup, "hosts" | "identical"> & { readonly host: string };

/** All that went wrong in a run, what many hosts have in common told once; the most widespread last, nearest the prompt. */
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

/** The message with what differs from host to host for no reason left out: its name, addresses. */
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
