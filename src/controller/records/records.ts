import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { printable, type SerializedError, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent, Event, Outcome, Summary } from "../../core/events.ts";
import { EMPTY_TALLY, type Tally } from "../../core/result.ts";
import { foldSummary } from "../../core/summary.ts";
import { isRecord } from "../../core/values/value.ts";
import { makeDirectories } from "../../system/directories.ts";
import { parseJsonLines } from "../../system/output.ts";
import { stateDirectory } from "../../system/own-files.ts";
import { bootId, isAlive, processStart } from "../../system/this-process.ts";
import { isLoggedEvent } from "../session/check-event.ts";

// The records of runs on the controller: their names and files, writing and reading them, hosts by outcome, and fan-outs.

/** The data for another controller to pick a run up again, without secrets. */
export interface RunRecord {
  readonly run: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The controller's process id, to detect that the controller has ended. */
  readonly pid: number;
  /** The start of that process, to distinguish it from a later one with the same id; absent where the system does not report it. */
  readonly process?: { readonly start: string; readonly boot: string };
  /** SHA-256 of the bundle. */
  readonly bundle: string;
  /** The options of `run()` that can be written down. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Commands that work on many hosts without a playbook. */
export type FanOutKind = "exec" | "do" | "put" | "get";

/** Records to keep: runs of playbooks, and of each kind of fan-out. */
const KEPT_RUNS = 200;
const KEPT_FAN_OUTS = 50;

/** Make a run's name: its time to the millisecond, so that names sort by time, and a random part. */
export function makeRunId(now = new Date()): string {
  const time = now.toISOString().replace(/[-:]/g, "").replace("T", "-").replace(".", "-").slice(0, 19);
  return `${time}${randomBytes(1).toString("hex")}`;
}

/** Return the kind of a fan-out by its name, which ends in the kind; undefined for a run of a playbook. */
export function fanOutKindOf(run: string): FanOutKind | undefined {
  return /-(exec|do|put|get)$/.exec(run)?.[1] as FanOutKind | undefined;
}

/** Directory of runs' logs and records: `$XDG_STATE_HOME/volley/runs`, default `~/.local/state/volley/runs`. */
export function runsDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(stateDirectory(env), "runs");
}

/** The file of a run's log: one event a line. */
export function logFileOf(directory: string, run: string): string {
  return join(directory, `${run}.ndjson`);
}

/** The file of whole results of `runOnce` tasks, for a controller that picks the run up. Mode 0600. */
export function onceFileOf(directory: string, run: string): string {
  return join(directory, `${run}.results`);
}

/** Identify this process in a record. */
function thisProcess(): Pick<RunRecord, "pid" | "process"> {
  const [start, boot] = [processStart(process.pid), bootId()];
  return { pid: process.pid, ...(start === undefined || boot === "" ? {} : { process: { start, boot } }) };
}

/**
 * Write the record of a run that this process works on, and remove the oldest runs that have ended. Where the record
 * cannot be written, the run continues, but cannot be picked up.
 */
export function writeRecord(directory: string, given: Omit<RunRecord, "pid" | "process">): void {
  const record: RunRecord = { ...given, ...thisProcess() };
  try {
    makeDirectories(directory, 0o700);
    // Write under another name and rename: a controller that is killed meanwhile leaves no half of a record.
    const temporary = join(directory, `${record.run}.json.${process.pid}`);
    fs.writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    fs.renameSync(temporary, join(directory, `${record.run}.json`));
    const kind = fanOutKindOf(record.run);
    const alike = listRuns(directory).filter((run) => fanOutKindOf(run) === kind);
    for (const run of alike.slice(kind === undefined ? KEPT_RUNS : KEPT_FAN_OUTS)) {
      if (isGoingOn(directory, run)) continue;
      for (const file of [
        join(directory, `${run}.json`),
        logFileOf(directory, run),
        onceFileOf(directory, run),
      ])
        fs.rmSync(file, { force: true });
    }
  } catch {
    // The home is read-only, or the disk full.
  }
}

/** Read a run's record. Fails with `USAGE` when there is none. */
export function readRecord(directory: string, run: string): RunRecord {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(join(directory, `${run}.json`), "utf8"));
    if (isRecord(value) && value.run === run && isSound(value)) return value as unknown as RunRecord;
  } catch {
    // The error below tells of it.
  }
  throw new VolleyError("USAGE", `there is no run ${printable(run, 100)} here`, {
    hint: "volley runs lists them",
  });
}

function isSound({ startedAt, pid, process, bundle, options }: Readonly<Record<string, unknown>>): boolean {
  return (
    (process === undefined || isRecord(process)) &&
    typeof startedAt === "string" &&
    Number.isInteger(pid) &&
    (pid as number) > 0 &&
    typeof bundle === "string" &&
    isRecord(options)
  );
}

/** List the runs of playbooks that have a record, the latest first. */
export function listPlaybookRuns(directory: string): readonly string[] {
  return listRuns(directory).filter((run) => fanOutKindOf(run) === undefined);
}

/** List the runs and fan-outs that have a record, the latest first. */
export function listRuns(directory: string): readonly string[] {
  if (!fs.existsSync(directory)) return [];
  return fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length))
    .sort()
    .reverse();
}

/**
 * Return the events of a run's log, as far as they are written by now. Each iteration reads the file anew: the events of a
 * large run need more memory than a process should have.
 */
export function readEvents(directory: string, run: string): Iterable<Event> {
  const file = logFileOf(directory, run);
  const size = fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return { [Symbol.iterator]: () => iterateEvents(file, size) };
}

const CHUNK_BYTES = 256 * 1_024;

function* iterateEvents(file: string, size: number): Generator<Event, void, undefined> {
  if (size === 0) return;
  const descriptor = fs.openSync(file, "r");
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size));
    let rest: Buffer = Buffer.alloc(0);
    for (let at = 0; at < size; ) {
      const count = fs.readSync(descriptor, chunk, 0, Math.min(chunk.length, size - at), at);
      // The file has become shorter.
      if (count === 0) break;
      at += count;
      const bytes = Buffer.concat([rest, chunk.subarray(0, count)]);
      const end = at < size ? bytes.lastIndexOf("\n") + 1 : bytes.length;
      rest = bytes.subarray(end);
      yield* parseEvents(bytes.toString("utf8", 0, end));
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Return the events in lines of a log, without the levels that pino has added to them. */
export function parseEvents(lines: string): readonly Event[] {
  return parseJsonLines(lines)
    .filter(isLoggedEvent)
    .map((event) => {
      // The level of such a line is the event's own.
      if (event.type === "log") return event;
      const { level: _level, ...own } = event as Event & { readonly level?: unknown };
      return own as Event;
    });
}

/** Read the summary of a run; undefined when the run has not ended. */
export function readSummary(directory: string, run: string): Summary | undefined {
  let summary: Summary | undefined;
  for (const event of readEvents(directory, run)) if (event.type === "run:end") ({ summary } = event);
  return summary;
}

/** Return whether a run's controller process is still there; it may be done with the run. */
export function isControlled({ pid, process: identity }: RunRecord): boolean {
  if (identity !== undefined) return isAlive({ pid, ...identity });
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isGoingOn(directory: string, run: string): boolean {
  try {
    return isControlled(readRecord(directory, run)) && readSummary(directory, run) === undefined;
  } catch {
    // A run without a sound record cannot be picked up.
    return false;
  }
}

/**
 * Return the hosts of `@failed`, `@changed` or `@RUN`: of the last run that ended, the hosts that failed or were not
 * reached, or those that changed; or all hosts of a run. Fails with `USAGE` when there is no such run.
 */
export function hostsOfRuns(directory: string, name: string): readonly string[] {
  const runs = listRuns(directory);
  const named = runs.includes(name) ? name : undefined;
  for (const run of named === undefined ? runs : [named]) {
    const summary = readSummary(directory, run);
    if (summary === undefined) continue;
    return summary.hosts
      .filter(
        ({ outcome, tally }) =>
          named !== undefined ||
          (name === "failed" ? outcome !== "ok" : name === "changed" && tally.changed > 0),
      )
      .map(({ host }) => host);
  }
  throw new VolleyError(
    "USAGE",
    `@${printable(name, 100)}: there is no run that has ended${named === undefined ? "" : ` named ${printable(name, 100)}`}`,
    {
      hint: "volley runs lists them",
    },
  );
}

/** The end of a fan-out on one host. */
export interface FanOutEnd {
  readonly host: string;
  readonly outcome: Outcome;
  readonly elapsedMs: number;
  /** True when a transfer changed the host; undefined for a command. */
  readonly changed?: boolean;
  /** The results of an action's tasks. */
  readonly tally?: Tally;
  readonly error?: SerializedError | undefined;
}

/** A command or a transfer on many hosts. */
export interface FanOutRecord {
  readonly kind: FanOutKind;
  /** The command's name; arguments may hold secrets. */
  readonly title: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly concurrency: number;
  /** True for check mode. Default false. */
  readonly check?: boolean;
  readonly ends: readonly FanOutEnd[];
}

/**
 * Write down the hosts of a fan-out and how it ended there, so that `@failed`, `@changed` and `@RUN` work as for a run.
 * The output of hosts is not kept. Where the record cannot be written, it is left out.
 */
export function recordFanOut(record: FanOutRecord, directory = runsDirectory()): void {
  const { kind, title, startedAt, concurrency, check = false, ends } = record;
  const run = `${makeRunId(new Date(startedAt))}-${kind}`;
  const hosts = ends.map(({ host }) => host);
  const endedAt = Date.now();
  const fold = foldSummary();
  let seq = 0;
  const stamp = (event: ControllerEvent, time: number): Event => ({ ...event, seq: ++seq, time });
  const events: Event[] = [
    stamp({ type: "run:start", run, playbook: title, hosts, plays: [], check, concurrency }, startedAt),
    ...ends.map(({ host, outcome, elapsedMs, changed, tally: own, error }) => {
      const tally =
        own ??
        (changed === undefined ? EMPTY_TALLY : { ...EMPTY_TALLY, [changed ? "changed" : "unchanged"]: 1 });
      return stamp(
        {
          type: "host:end",
          host,
          outcome,
          tally,
          elapsedMs,
          phases: {},
          uploadedBytes: 0,
          ...(error === undefined ? {} : { error }),
        },
        endedAt,
      );
    }),
  ];
  for (const event of events) fold.add(event);
  events.push(stamp({ type: "run:end", summary: fold.summary(endedAt) }, endedAt));
  writeRecord(directory, {
    run,
    startedAt: new Date(startedAt).toISOString(),
    bundle: "",
    options: { playbook: title, ...(check ? { check } : {}) },
  });
  try {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
    fs.writeFileSync(logFileOf(directory, run), lines, { mode: 0o600 });
  } catch {
    // The home is read-only, or the disk full: go on, as without a run's log.
  }
}
