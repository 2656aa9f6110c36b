import { createHash } from "node:crypto";
import type { Event, HostEnd, HostSummary, Outcome, Phase, Summary } from "../../core/events.ts";
import type { Diff, ItemResult, Result } from "../../core/result.ts";
import { foldSummary } from "../../core/summary.ts";
import { formatElapsed } from "../rows/amounts.ts";
import { batchText, stopText, taskTitle } from "../rows/wording.ts";
import { type FailureGroup, groupFailures } from "../summary.ts";
import { foldTaskTimes, type TaskTimes } from "../timing.ts";

/** The state of a run's log: complete, still written, or cut off when the controller was killed. */
type RunState = "ended" | "going on" | "cut off";

/** The end of a host's part; `open` when the log has none. */
export type ReportOutcome = Outcome | "open";

/** A host as its page shows it. */
export interface ReportHost extends Omit<HostSummary, "outcome"> {
  readonly outcome: ReportOutcome;
  readonly segments: readonly Segment[];
}

/** A failure of one or many hosts, with the details of the first one. */
export interface ReportFailure extends FailureGroup {
  readonly details: FailureDetails | undefined;
}

/** The data of the page of a run. */
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
  /** The number of hosts reached directly, without a bundle. */
  readonly directHosts: number;
  readonly failures: readonly ReportFailure[];
  readonly tasks: readonly TaskTimes[];
  readonly changes: readonly ChangeGroup[];
  readonly notes: readonly Note[];
}

/** Folds a run's events into the data of its page. */
export interface ReportFold {
  add(event: Event): void;
  /**
   * Return the data up to the last event; `goingOn` tells whether a controller works on a run without an end. Each list
   * is made when it is first asked for, because a page that is watched asks for few of them at a time.
   */
  data(goingOn: boolean): ReportData;
}

/** Start a fold. */
export function createReportFold(): ReportFold {
  const summaries = foldSummary();
  const tasks = foldTaskTimes();
  const timeline = foldTimeline();
  const details = foldTaskDetails();
  const notes = foldNotes();
  const folds = [summaries, tasks, timeline, details, notes];
  const ended = new Set<string>();
  const direct = new Set<string>();
  let startedAtMs: number | undefined;
  let lastMs = 0;
  let build: ReportData["build"];
  let start: Extract<Event, { type: "run:start" }> | undefined;
  let end: Summary | undefined;
  const isOpen = ({ host }: HostSummary): boolean => end === undefined && !ended.has(host);
  return {
    add(event) {
      for (const fold of folds) fold.add(event);
      startedAtMs ??= event.time;
      lastMs = event.time;
      if (event.type === "host:end") ended.add(event.host);
      else if (event.type === "host:start" && event.method === "direct") direct.add(event.host);
      else if (event.type === "run:build") build = event;
      else if (event.type === "run:start") start = event;
      else if (event.type === "run:end") end = event.summary;
    },
    data(goingOn) {
      const summary = end ?? summaries.summary(lastMs);
      return {
        summary,
        state: end !== undefined ? "ended" : goingOn ? "going on" : "cut off",
        startedAtMs: startedAtMs ?? 0,
        elapsedMs: lastMs - (startedAtMs ?? lastMs),
        concurrency: start?.concurrency ?? 0,
        plays: start?.plays ?? [],
        build,
        directHosts: direct.size,
        hosts: summary.hosts.map((host) => ({
          ...host,
          outcome: isOpen(host) ? "open" : host.outcome,
          get segments() {
            return timeline.segmentsOf(host.host);
          },
        })),
        get failures() {
          // A host without a known end has failed in its failed tasks only.
          const hosts = summary.hosts.map((host) =>
            isOpen(host) ? { ...host, outcome: "ok" as const } : host,
          );
          // The most widespread first, because a page is read from the top.
          return [...groupFailures({ ...summary, hosts })].reverse().map((group) => ({
            ...group,
            details:
              group.task === undefined ? undefined : details.failureOf(group.hosts[0] ?? "", group.task),
          }));
        },
        get tasks() {
          return tasks.tasks();
        },
        get changes() {
          return details.changes();
        },
        get notes() {
          return notes.notes();
        },
      };
    },
  };
}

/** Fold the events of a run's log; `goingOn` tells whether the controller of a run without an end still works on it. */
export function foldReport(events: readonly Event[], goingOn = false): ReportData {
  const fold = createReportFold();
  for (const event of events) fold.add(event);
  return fold.data(goingOn);
}

/** The state of a host over a stretch of time: a phase, or work without a connection. */
export type TimelinePhase = Phase | "away";

/** A stretch of a host's time; milliseconds since the run's first event. */
export interface Segment {
  readonly phase: TimelinePhase;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Folds events into the stretches of each host's time. */
interface TimelineFold {
  add(event: Event): void;
  /** The segments of a host; the last one of a host that has not ended lasts until now. */
  segmentsOf(host: string): readonly Segment[];
}

interface HostLine {
  readonly segments: Segment[];
  at: TimelinePhase | undefined;
  sinceMs: number;
}

/** Start a fold. */
function foldTimeline(): TimelineFold {
  const lines = new Map<string, HostLine>();
  let firstMs: number | undefined;
  let lastMs = 0;

  const close = (line: HostLine, atMs: number): void => {
    if (line.at !== undefined && atMs > line.sinceMs)
      line.segments.push({ phase: line.at, fromMs: line.sinceMs, toMs: atMs });
  };
  const enter = (line: HostLine, phase: TimelinePhase | undefined): void => {
    if (line.at === phase) return;
    close(line, lastMs);
    line.at = phase;
    line.sinceMs = lastMs;
  };

  return {
    add(event) {
      firstMs ??= event.time;
      lastMs = event.time - firstMs;
      if (!("host" in event)) return;
      let line = lines.get(event.host);
      if (line === undefined) {
        line = { segments: [], at: undefined, sinceMs: 0 };
        lines.set(event.host, line);
      }
      // Only the first bytes sent tell that the search for the bundle was part of sending it.
      if (event.type === "host:upload" && line.at === "start") line.at = "upload";
      const next = phaseAfter(event, line.at);
      if (next !== "same") enter(line, next);
      // The wait for other hosts was the end.
      if (event.type === "bye") relabelWait(line);
      if (event.type === "host:end") splitConnect(line.segments, event);
    },
    segmentsOf(host) {
      const line = lines.get(host);
      if (line === undefined) return [];
      const open: HostLine = { ...line, segments: [...line.segments] };
      close(open, lastMs);
      return open.segments;
    },
  };
}

function phaseAfter(
  event: Extract<Event, { host: string }>,
  at: TimelinePhase | undefined,
): TimelinePhase | undefined | "same" {
  switch (event.type) {
    case "host:connect":
      return "connect";
    case "host:connected":
    case "host:cached":
      return "start";
    case "host:upload":
      return event.bytes >= event.totalBytes ? "start" : "upload";
    case "host:start":
      return "facts";
    case "facts":
    case "play:start":
    case "task:start":
      return "tasks";
    case "host:back":
      return "tasks";
    case "play:end":
      return "wait";
    case "host:lost":
      return "away";
    case "bye":
      return at === "away" ? "same" : "collect";
    case "host:end":
      return undefined;
    default:
      return "same";
  }
}

function relabelWait({ segments }: HostLine): void {
  const last = segments.at(-1);
  if (last?.phase === "wait") segments[segments.length - 1] = { ...last, phase: "collect" };
}

/** Only the end of the host tells where connecting ended and logging in began. */
function splitConnect(segments: Segment[], { phases }: HostEnd): void {
  const index = segments.findIndex(({ phase }) => phase === "connect");
  const segment = segments[index];
  const { connect, authenticate } = phases;
  if (segment === undefined || connect === undefined || authenticate === undefined) return;
  const both = connect + authenticate;
  if (both <= 0) return;
  const middleMs = segment.fromMs + (segment.toMs - segment.fromMs) * (connect / both);
  segments.splice(
    index,
    1,
    { ...segment, toMs: middleMs },
    { phase: "authenticate", fromMs: middleMs, toMs: segment.toMs },
  );
}

/** The result and output of a failed task on one host. */
export interface FailureDetails {
  /** The end of the task's output. */
  readonly output: string;
  /** The number of characters before that. */
  readonly cutCharacters: number;
  readonly diff: readonly Diff[];
  readonly items: readonly ItemResult[];
  readonly elapsedMs: number;
  readonly ignored: boolean;
}

/** A change that one task made in the same way on these hosts. */
export interface ChangeGroup {
  /** Tells the group from others of the run. */
  readonly key: string;
  readonly title: string;
  readonly action: string;
  readonly play: string;
  readonly hosts: readonly string[];
  readonly diff: readonly Diff[];
}

/** Folds events into failures and changes. */
interface TaskDetailsFold {
  add(event: Event): void;
  failureOf(host: string, title: string): FailureDetails | undefined;
  /** Changes that carry a diff, in the order they were first made. */
  changes(): readonly ChangeGroup[];
}

const MAX_OUTPUT_CHARACTERS = 16_384;
/** The number of diffs kept: a playbook may write a different file on each of many hosts. */
const MAX_CHANGE_GROUPS = 1_000;

interface Output {
  text: string;
  cutCharacters: number;
}

/** Start a fold. */
function foldTaskDetails(): TaskDetailsFold {
  const outputs = new Map<string, Output>();
  const failures = new Map<string, FailureDetails>();
  const changes = new Map<string, ChangeGroup & { readonly hosts: string[] }>();

  const addChange = (event: Extract<Event, { type: "task:end" }>, diff: readonly Diff[]): void => {
    const { host, play, action } = event;
    const title = taskTitle(event);
    const key = createHash("sha256")
      .update(JSON.stringify([play, title, action, diff]))
      .digest("base64");
    const group = changes.get(key);
    if (group !== undefined) group.hosts.push(host);
    else if (changes.size < MAX_CHANGE_GROUPS)
      changes.set(key, { key, title, action, play, hosts: [host], diff });
  };

  return {
    add(event) {
      switch (event.type) {
        case "task:start":
          outputs.delete(event.host);
          return;
        case "task:output": {
          const output = outputs.get(event.host) ?? { text: "", cutCharacters: 0 };
          const text = output.text + event.text;
          const cut = Math.max(0, text.length - MAX_OUTPUT_CHARACTERS);
          outputs.set(event.host, { text: text.slice(cut), cutCharacters: output.cutCharacters + cut });
          return;
        }
        case "task:end": {
          const { host, result, elapsedMs } = event;
          if (result.state === "failed") {
            const { text = "", cutCharacters = 0 } = outputs.get(host) ?? {};
            failures.set(`${host}\0${taskTitle(event)}`, {
              output: text === "" ? outputOf(result) : text,
              cutCharacters,
              diff: result.diff ?? [],
              items: result.items ?? [],
              elapsedMs,
              ignored: result.ignored === true,
            });
          } else if (result.state === "changed" && result.diff !== undefined && result.diff.length > 0) {
            addChange(event, result.diff);
          }
          outputs.delete(host);
          return;
        }
        default:
          return;
      }
    },
    failureOf: (host, title) => failures.get(`${host}\0${title}`),
    changes: () => [...changes.values()],
  };
}

/** The output of processes that came with the Result rather than live. */
function outputOf({ data }: Result): string {
  if (typeof data !== "object" || data === null) return "";
  const { stdout, stderr } = data as { readonly stdout?: unknown; readonly stderr?: unknown };
  return [stdout, stderr]
    .filter((text): text is string => typeof text === "string" && text !== "")
    .join("\n")
    .slice(-MAX_OUTPUT_CHARACTERS);
}

/** A warning or notice that is not a task's result, once for all hosts that gave it. */
export interface Note {
  readonly kind: "warning" | "connection" | "schedule" | "cancelled";
  readonly text: string;
  readonly hosts: readonly string[];
  /** The time of the first such event; milliseconds since the run's first event. */
  readonly atMs: number;
}

/** Folds events into notes. */
interface NotesFold {
  add(event: Event): void;
  notes(): readonly Note[];
}

/** Start a fold. */
function foldNotes(): NotesFold {
  const notes = new Map<string, Note & { readonly hosts: string[] }>();
  let firstMs: number | undefined;
  return {
    add(event) {
      firstMs ??= event.time;
      const said = noteOf(event);
      if (said === undefined) return;
      const key = `${said.kind} ${said.text}`;
      let note = notes.get(key);
      if (note === undefined) {
        note = { ...said, hosts: [], atMs: event.time - firstMs };
        notes.set(key, note);
      }
      if ("host" in event && !note.hosts.includes(event.host)) note.hosts.push(event.host);
    },
    notes: () => [...notes.values()],
  };
}

function noteOf(event: Event): Pick<Note, "kind" | "text"> | undefined {
  switch (event.type) {
    case "log":
      return event.level === "warn" ? { kind: "warning", text: event.text } : undefined;
    case "host:lost":
      return { kind: "connection", text: `connection lost: ${event.reason}` };
    case "host:back":
      return { kind: "connection", text: `connected again after ${formatElapsed(event.awayMs)}` };
    case "restart":
      return { kind: "connection", text: "restarted, as a task asked" };
    case "play:batch":
      return { kind: "schedule", text: batchText(event) };
    case "play:stop":
      return { kind: "schedule", text: stopText(event) };
    case "run:cancel":
      return {
        kind: "cancelled",
        text: event.how === "clean" ? "somebody asked to stop cleanly" : "somebody asked to stop at once",
      };
    default:
      return undefined;
  }
}
