import type { Event, HostEnd, ReceivedEvent, Summary, TaskRef } from "../../core/events.ts";
import { createOutputLines, type OutputLines } from "../reporter.ts";
import type { TaskEnd } from "../rows/details.ts";

// A run as its log tells it, put together task by task, for `volley log` and `volley diff`.

/** A task's end on one host. */
export interface HostTask {
  readonly end: TaskEnd;
  /** The last lines that the task printed. */
  readonly output: readonly string[];
}

/** A task of a run, and its end on each host that got there. */
export interface RecordedTask {
  /** The same for the same task in all hosts and runs: play, role, name, and its number among tasks of that name. */
  readonly key: string;
  readonly task: TaskRef;
  readonly hosts: ReadonlyMap<string, HostTask>;
}

/** Something a host told beside its tasks. */
export interface HostNote {
  readonly host: string;
  readonly kind: "warning" | "info" | "away";
  readonly text: string;
}

/** A run as far as its log goes. */
export interface RunHistory {
  readonly run: string;
  readonly playbook: string;
  readonly check: boolean;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly hosts: readonly string[];
  /** Hosts share their order: a task stands behind the one that came before it on the first host that told of it. */
  readonly tasks: readonly RecordedTask[];
  readonly notes: readonly HostNote[];
  readonly ends: ReadonlyMap<string, HostEnd>;
  readonly facts: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Undefined while the run goes on, or where its controller was ended. */
  readonly summary: Summary | undefined;
}

const KEPT_OUTPUT_LINES = 1_000;

interface Entry {
  readonly recorded: RecordedTask & { readonly hosts: Map<string, HostTask> };
  next: Entry | undefined;
}

/** The way of a host through the run. */
interface Trace {
  play: number;
  last: Entry | undefined;
  readonly names: Map<string, number>;
  readonly lines: OutputLines;
  output: string[];
}

/** Put a run's events together. Events before `run:start`, and hosts that it does not name, are passed over. */
export function readHistory(events: readonly Event[]): RunHistory {
  const start = events.find((event) => event.type === "run:start");
  const entries = new Map<string, Entry>();
  /** The first entry of each play, by its index. */
  const firsts = new Map<number, Entry>();
  const traces = new Map<string, Trace>();
  const notes: HostNote[] = [];
  const ends = new Map<string, HostEnd>();
  const facts = new Map<string, Readonly<Record<string, unknown>>>();
  let summary: Summary | undefined;

  const traceOf = (host: string): Trace => {
    const known = traces.get(host);
    if (known !== undefined) return known;
    const fresh: Trace = {
      ...{ play: 0, last: undefined, names: new Map(), lines: createOutputLines(), output: [] },
    };
    traces.set(host, fresh);
    return fresh;
  };
  const insert = (key: string, task: TaskRef, trace: Trace): Entry => {
    const entry: Entry = { recorded: { key, task, hosts: new Map() }, next: undefined };
    const before = trace.last;
    if (before === undefined) {
      entry.next = firsts.get(trace.play);
      firsts.set(trace.play, entry);
    } else {
      entry.next = before.next;
      before.next = entry;
    }
    entries.set(key, entry);
    return entry;
  };
  const endTask = (event: Extract<ReceivedEvent, { type: "task:end" }>): void => {
    const { host, result, elapsedMs, play, role, name, handler } = event;
    const trace = traceOf(host);
    const title = JSON.stringify([trace.play, play, role, name, handler === true]);
    const nth = (trace.names.get(title) ?? 0) + 1;
    trace.names.set(title, nth);
    const key = `${title}${nth}`;
    const entry = entries.get(key) ?? insert(key, event, trace);
    trace.last = entry;
    const output = [...trace.output, ...trace.lines.rest()].slice(-KEPT_OUTPUT_LINES);
    trace.output = [];
    entry.recorded.hosts.set(host, { end: { task: event, result, elapsedMs }, output });
  };
  for (const event of events) {
    switch (event.type) {
      case "play:start": {
        const trace = traceOf(event.host);
        Object.assign(trace, { play: event.index, last: undefined });
        break;
      }
      case "task:start":
        traceOf(event.host).output = [];
        break;
      case "task:output": {
        const trace = traceOf(event.host);
        trace.output.push(...trace.lines.add(event.stream, event.text));
        if (trace.output.length > 2 * KEPT_OUTPUT_LINES)
          trace.output = trace.output.slice(-KEPT_OUTPUT_LINES);
        break;
      }
      case "task:end":
        endTask(event);
        break;
      case "log":
        notes.push({
          host: event.host,
          kind: event.level === "warn" ? "warning" : "info",
          text: event.text,
        });
        break;
      case "host:lost":
        notes.push({ host: event.host, kind: "away", text: `connection lost: ${event.reason}` });
        break;
      case "facts":
        facts.set(event.host, event.facts);
        break;
      case "host:end":
        ends.set(event.host, event);
        break;
      case "run:end":
        summary = event.summary;
        break;
    }
  }
  const tasks = [...firsts.entries()]
    .sort(([a], [b]) => a - b)
    .flatMap(([, first]) => {
      const all: RecordedTask[] = [];
      for (let entry: Entry | undefined = first; entry !== undefined; entry = entry.next)
        all.push(entry.recorded);
      return all;
    });
  const { run = "", playbook = "", check = false, hosts = [], time = 0 } = start ?? {};
  return { run, playbook, check, startedAt: time, hosts, tasks, notes, ends, facts, summary };
}
