import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { Event, Summary } from "../../core/events.ts";
import { isRecord } from "../../core/json.ts";
import { printable } from "../../core/text.ts";
import { stateDirectory } from "../../system/directories.ts";
import { parseJsonLines } from "../../system/lines.ts";
import { bootId, isAlive, processStart } from "../../system/this-process.ts";
import { isLoggedEvent } from "./check-logged.ts";

/** What is needed to pick a run up again: what it was asked for, and nothing secret. */
export interface RunRecord {
  readonly run: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The controller's process, to tell a run that goes on from one that was left. */
  readonly pid: number;
  /** What tells it from a process that got its number later; absent where the system does not say. */
  readonly process?: { readonly start: string; readonly boot: string };
  /** SHA-256 of the bundle. */
  readonly bundle: string;
  /** The options of `run()` that can be written down. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** What is carried out on many hosts without a playbook. */
export type FanOutKind = "exec" | "put" | "get";

/** Older ones are forgotten: runs of playbooks, and of each kind of fan-out. */
const KEPT_RUNS = 200;
const KEPT_FAN_OUTS = 50;

/** When a run started, to the millisecond, and something random: sorts by time, and two at once differ. */
export function makeRunId(now = new Date()): string {
  const time = now.toISOString().replace(/[-:]/g, "").replace("T", "-").replace(".", "-").slice(0, 19);
  return `${time}${randomBytes(1).toString("hex")}`;
}

/** What the name of a fan-out's record ends in, behind what {@link makeRunId} makes. */
export function fanOutSuffix(kind: FanOutKind): string {
  return `-${kind}`;
}

/** The kind of a fan-out by its record's name; undefined: it is the run of a playbook. */
export function fanOutKindOf(run: string): FanOutKind | undefined {
  return /-(exec|put|get)$/.exec(run)?.[1] as FanOutKind | undefined;
}

/** Where runs' logs and records are kept: `$XDG_STATE_HOME/volley/runs`, default `~/.local/state/volley/runs`. */
export function runsDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(stateDirectory(env), "runs");
}

/** The log of a run: one event a line. */
export function logFileOf(directory: string, run: string): string {
  return join(directory, `${run}.ndjson`);
}

/** Where whole results of `runOnce` tasks are kept for a controller that picks the run up, mode 0600. */
export function onceFileOf(directory: string, run: string): string {
  return join(directory, `${run}.results`);
}

/** This process as records name it. */
function thisProcess(): Pick<RunRecord, "pid" | "process"> {
  const [start, boot] = [processStart(process.pid), bootId()];
  return { pid: process.pid, ...(start === undefined || boot === "" ? {} : { process: { start, boot } }) };
}

/**
 * Writes the record of a run that this process works on, and removes the oldest runs but those that go on. A run
 * without a record goes on, it only cannot be picked up.
 */
export function writeRecord(directory: string, given: Omit<RunRecord, "pid" | "process">): void {
  const record: RunRecord = { ...given, ...thisProcess() };
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Written whole under another name: a controller that is killed meanwhile leaves no half of a record.
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
    // A read-only home or a full disk.
  }
}

/** A run's record. Fails with `USAGE` when there is none. */
export function readRecord(directory: string, run: string): RunRecord {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(join(directory, `${run}.json`), "utf8"));
    if (isRecord(value) && value.run === run && isSound(value)) return value as unknown as RunRecord;
  } catch {
    // Told below.
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

/** The runs of playbooks that have a record, the latest first. */
export function listPlaybookRuns(directory: string): readonly string[] {
  return listRuns(directory).filter((run) => fanOutKindOf(run) === undefined);
}

/** The runs and fan-outs that have a record, the latest first. */
export function listRuns(directory: string): readonly string[] {
  if (!fs.existsSync(directory)) return [];
  return fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length))
    .sort()
    .reverse();
}

/** The events of a run's log, as far as they were written. */
export function readEvents(directory: string, run: string): readonly Event[] {
  const file = logFileOf(directory, run);
  const text = fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
  return parseJsonLines(text).filter(isLoggedEvent);
}

/** What a run came to; undefined for one that has not ended. */
export function readSummary(directory: string, run: string): Summary | undefined {
  const end = readEvents(directory, run).findLast((event) => event.type === "run:end");
  return end?.type === "run:end" ? end.summary : undefined;
}

/** Whether the process that was a run's controller is still there; it may be done with the run. */
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
    // Nobody can pick it up.
    return false;
  }
}

/**
 * The hosts that `@failed`, `@changed` or `@RUN` stand for: of the last run that ended, those that failed or were not
 * reached, those where something changed, or all of a run's. Fails with `USAGE` when there is no such run.
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
