import { closeSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Logger, pino } from "pino";
import type { Bundle } from "../../bundle/build.ts";
import type { ControllerEvent, Event, ReceivedEvent, Summary } from "../../core/events.ts";
import { foldSummary } from "../../core/summary.ts";
import { DEFAULTS, type RunOptions, recordable } from "../prepare/options.ts";
import type { PreparedRun } from "../prepare/prepare.ts";
import { type EarlierPart, readEarlier } from "../session/told.ts";
import {
  logFileOf,
  makeRunId,
  onceFileOf,
  readEvents,
  readRecord,
  runsDirectory,
  writeRecord,
} from "./records.ts";

/** Where the events of a run go to. */
interface Recorder {
  readonly emit: (event: ReceivedEvent | ControllerEvent) => void;
  /** Writes down what there is: what follows may be lost with this process. */
  save(): void;
  /** Ends the run with its summary. */
  finish(): Summary;
}

/** What a recorder is made with. */
interface RecorderOptions {
  readonly run: string;
  /** Undefined: nothing is written down. */
  readonly directory: string | undefined;
  readonly push: (event: Event) => void;
  /** Events an earlier controller has written down: they are told again, and count. */
  readonly earlier: readonly Event[];
}

/** Stamps the events of a run, folds them, writes them down and passes them on. */
function openRecorder({ run, directory, push, earlier }: RecorderOptions): Recorder {
  const fold = foldSummary();
  const log = directory === undefined ? undefined : openRunLog(logFileOf(directory, run));
  let seq = 0;
  for (const event of earlier) {
    fold.add(event);
    push(event);
    seq = event.seq;
  }
  const emit = (event: ReceivedEvent | ControllerEvent): void => {
    const stamped: Event = { ...event, seq: ++seq, time: Date.now() };
    fold.add(stamped);
    log?.event(stamped);
    push(stamped);
  };
  return {
    emit,
    save: () => log?.save(),
    finish: () => {
      const summary: Summary = {
        ...fold.summary(Date.now()),
        ...(log?.file === undefined ? {} : { logFile: log.file }),
      };
      emit({ type: "run:end", summary });
      log?.close();
      return summary;
    },
  };
}

/** The log of one run: NDJSON, one file, for finding out afterwards. */
interface RunLog {
  readonly file: string | undefined;
  event(event: Event): void;
  /** Writes what has been held back so far. */
  save(): void;
  /** Writes what is left. */
  close(): void;
}

const SAVE_MS = 200;

/** Opens the log of a run; without a directory to write in, the run goes on without one. */
export function openRunLog(file: string): RunLog {
  let lines: LineFile | undefined;
  let logger: Logger | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const opened = openLineFile(file);
    lines = opened;
    // What is held back is lost when this process is killed.
    timer = setInterval(opened.save, SAVE_MS);
    timer.unref();
    logger = pino(
      { base: null, level: "debug", timestamp: false, formatters: { level: (label) => ({ level: label }) } },
      opened,
    );
  } catch (thrown) {
    // Read-only home or full disk: the log is for finding out, not for running.
    if ((thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
  }
  return {
    file: logger === undefined ? undefined : file,
    event: (event) => {
      const level = isTrouble(event)
        ? "warn"
        : event.type === "task:output" || event.type === "host:upload"
          ? "debug"
          : "info";
      logger?.[level](event);
    },
    save: () => lines?.save(),
    close: () => {
      clearInterval(timer);
      lines?.close();
    },
  };
}

function isTrouble(event: Event): boolean {
  switch (event.type) {
    case "task:end":
      return event.result.state === "failed";
    case "host:end":
      return event.outcome !== "ok";
    case "log":
      return event.level === "warn";
    default:
      return false;
  }
}

/** A file that lines are added to, in pieces of 8 KiB; on a full disk it ends where the space did. */
interface LineFile {
  write(line: string): void;
  /** Writes what has been held back so far: it is the system's then, and outlives this process. */
  save(): void;
  /** Writes what is left; nothing can be added any more. */
  close(): void;
}

const HELD_CHARACTERS = 8_192;

/**
 * Opens a file to add lines to, for its owner alone to read. pino's own destination would wait for the disk at each
 * flush and once more at the end, which a run of half a second notices. Fails when the file cannot be opened.
 */
export function openLineFile(file: string): LineFile {
  const descriptor = openSync(file, "a", 0o600);
  let held = "";
  let isWritable = true;
  const save = (): void => {
    if (held === "" || !isWritable) return;
    try {
      writeFileSync(descriptor, held);
    } catch {
      isWritable = false;
    }
    held = "";
  };
  return {
    write: (line) => {
      if (!isWritable) return;
      held += line;
      if (held.length >= HELD_CHARACTERS) save();
    },
    save,
    close: () => {
      save();
      isWritable = false;
      closeSync(descriptor);
    },
  };
}

/** A run that is written down: begun, or gone on with by another controller. */
export interface BegunRecord extends Recorder {
  readonly id: string;
  /** What a controller before this one has told, as it is and by host. */
  readonly events: readonly Event[];
  readonly earlier: ReadonlyMap<string, EarlierPart>;
  /** The bundle that hosts know the run by. */
  readonly bundle: Bundle;
  /** Whether that is not the one the playbook makes now. */
  readonly changed: boolean;
  /** Where results that hosts are told of are kept, for a controller that picks the run up. */
  readonly onceFile: string | undefined;
}

/** Opens a run's log and record, and tells how it begins. */
export function beginRecord(
  options: RunOptions,
  cwd: string,
  { playbook, plan, bundle, buildMs }: PreparedRun,
  push: (event: Event) => void,
): BegunRecord {
  const { attach } = options;
  const id = attach ?? makeRunId();
  const directory = options.logDirectory === false ? undefined : (options.logDirectory ?? runsDirectory());
  const events = attach === undefined || directory === undefined ? [] : readEvents(directory, attach);
  const record = attach === undefined || directory === undefined ? undefined : readRecord(directory, attach);
  const changed = record !== undefined && record.bundle !== bundle.id;
  const used = changed ? { ...bundle, id: record.bundle } : bundle;
  const recorder = openRecorder({ run: id, directory, push, earlier: events });
  if (directory !== undefined) {
    writeRecord(directory, {
      run: id,
      startedAt: record?.startedAt ?? new Date().toISOString(),
      bundle: used.id,
      options: recordable({ ...options, cwd }),
    });
  }
  if (attach === undefined) {
    recorder.emit({
      type: "run:start",
      run: id,
      playbook: playbook.name,
      hosts: plan.hosts.map(({ name }) => name),
      plays: plan.plays.map(({ play, hosts }) => ({ name: play.name, hosts: hosts.map(({ name }) => name) })),
      check: options.check ?? false,
      concurrency: options.concurrency ?? DEFAULTS.concurrency,
    });
    recorder.emit({
      type: "run:build",
      bundle: bundle.id,
      bytes: bundle.bytes.length,
      elapsedMs: buildMs,
      reused: bundle.reused,
    });
  }
  recorder.save();
  const onceFile = directory === undefined ? undefined : onceFileOf(directory, id);
  return { ...recorder, id, events, earlier: readEarlier(events), bundle: used, changed, onceFile };
}
