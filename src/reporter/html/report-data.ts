import type { Event, HostSummary, Outcome, Summary } from "../../core/events.ts";
import { foldSummary } from "../../core/summary.ts";
import { type FailureGroup, groupFailures } from "../summary/failure-groups.ts";
import { foldTaskTimes, type TaskTimes } from "../timing/task-times.ts";
import { foldNotes, type Note } from "./notes.ts";
import { type ChangeGroup, type FailureDetails, foldTaskDetails } from "./task-details.ts";
import { foldTimeline, type Segment } from "./timeline.ts";

/** How far a run has come: its log ends with it, or it is still written, or its controller was ended. */
export type RunState = "ended" | "going on" | "cut off";

/** How a host's part ended; `open` when the log does not say. */
export type ReportOutcome = Outcome | "open";

/** A host as its page shows it. */
export interface ReportHost extends Omit<HostSummary, "outcome"> {
  readonly outcome: ReportOutcome;
  readonly segments: readonly Segment[];
}

/** What many hosts failed with, and what the first of them left behind. */
export interface ReportFailure extends FailureGroup {
  readonly details: FailureDetails | undefined;
}

/** What the page of a run is made from. */
export interface ReportData {
  readonly summary: Summary;
  readonly state: RunState;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  readonly concurrency: number;
  readonly plays: readonly { readonly name: string; readonly hosts: readonly string[] }[];
  readonly build: Extract<Event, { type: "run:build" }> | undefined;
  readonly hosts: readonly ReportHost[];
  /** How many hosts were worked on action by action from the controller, without a bundle. */
  readonly directHosts: number;
  readonly failures: readonly ReportFailure[];
  readonly tasks: readonly TaskTimes[];
  readonly changes: readonly ChangeGroup[];
  readonly notes: readonly Note[];
}

/** Folds the events of a run's log; `goingOn` says of one without an end whether its controller works on it. */
export function foldReport(events: readonly Event[], goingOn = false): ReportData {
  const summaries = foldSummary();
  const tasks = foldTaskTimes();
  const timeline = foldTimeline();
  const details = foldTaskDetails();
  const notes = foldNotes();
  const folds = [summaries, tasks, timeline, details, notes];
  const ended = new Set<string>();
  const direct = new Set<string>();
  let build: ReportData["build"];
  let start: Extract<Event, { type: "run:start" }> | undefined;
  let end: Summary | undefined;
  for (const event of events) {
    for (const fold of folds) fold.add(event);
    if (event.type === "host:end") ended.add(event.host);
    else if (event.type === "host:start" && event.method === "direct") direct.add(event.host);
    else if (event.type === "run:build") build = event;
    else if (event.type === "run:start") start = event;
    else if (event.type === "run:end") end = event.summary;
  }
  const startedAtMs = events[0]?.time ?? 0;
  const lastMs = events.at(-1)?.time ?? startedAtMs;
  const summary = end ?? summaries.summary(lastMs);
  const isOpen = ({ host }: HostSummary): boolean => end === undefined && !ended.has(host);
  // Hosts of which no end is known have failed at nothing yet but what their tasks say.
  const settled: Summary = {
    ...summary,
    hosts: summary.hosts.map((host) => (isOpen(host) ? { ...host, outcome: "ok" } : host)),
  };
  return {
    summary,
    state: end !== undefined ? "ended" : goingOn ? "going on" : "cut off",
    startedAtMs,
    elapsedMs: lastMs - startedAtMs,
    concurrency: start?.concurrency ?? 0,
    plays: start?.plays ?? [],
    build,
    directHosts: direct.size,
    hosts: summary.hosts.map((host) => ({
      ...host,
      outcome: isOpen(host) ? "open" : host.outcome,
      segments: timeline.segmentsOf(host.host),
    })),
    // The most widespread first: on a page one reads from the top.
    failures: [...groupFailures(settled)].reverse().map((group) => ({
      ...group,
      details: group.task === undefined ? undefined : details.failureOf(group.hosts[0] ?? "", group.task),
    })),
    tasks: tasks.tasks(),
    changes: details.changes(),
    notes: notes.notes(),
  };
}
