import type { Event, HostEnd, Phase } from "../../core/events.ts";

/** What a host was at: a phase, or working on without a connection. */
export type TimelinePhase = Phase | "away";

/** A stretch of a host's time; milliseconds since the run's first event. */
export interface Segment {
  readonly phase: TimelinePhase;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Folds events into when each host was at what. */
export interface TimelineFold {
  add(event: Event): void;
  /** The segments of a host; the last one of a host that has not ended lasts until now. */
  segmentsOf(host: string): readonly Segment[];
}

interface HostLine {
  readonly segments: Segment[];
  at: TimelinePhase | undefined;
  sinceMs: number;
}

/** Starts a fold. */
export function foldTimeline(): TimelineFold {
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
      // Until the first bytes are sent nobody knows that looking for the bundle is part of sending it.
      if (event.type === "host:upload" && line.at === "start") line.at = "upload";
      const next = phaseAfter(event, line.at);
      if (next !== "same") enter(line, next);
      // What looked like waiting for others was the end.
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

/** Where connecting ended and logging in began is told only when all is over. */
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
