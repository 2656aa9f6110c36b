import { closeSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Logger, pino } from "pino";
import type { ControllerEvent, Event, ReceivedEvent, Summary } from "../../core/events.ts";
import { foldSummary } from "../../core/summary.ts";
import { makeDirectories } from "../../system/directories.ts";
import type { Plan } from "../prepare/prepare.ts";
import { logFileOf, writeRecord } from "./records.ts";

/** The recorder of a run: gives each event its number, folds it, writes it to the log and passes it on. */
export interface Recorder {
  /** Pass an event on that an earlier controller has written down. */
  replay(event: Event): void;
  /** Write the record down, and emit the first events of this controller. */
  begin(): void;
  emit(event: ReceivedEvent | ControllerEvent): void;
  /** Write the buffered events to the log: they would be lost if this process were killed. */
  save(): void;
  /** End the run, and return its summary. */
  finish(): Summary;
}

/** Open a run's log and record. */
export function openRecorder(plan: Plan, push: (event: Event) => void): Recorder {
  const { run, playbook, plays, hosts, bundle, record, attached } = plan;
  const fold = foldSummary();
  const log = record === undefined ? undefined : openRunLog(logFileOf(record.directory, run));
  let seq = 0;
  const emit = (event: ReceivedEvent | ControllerEvent): void => {
    // A name that is a template is filled in here alone.
    const named = event.type === "play:start" ? { play: plays[event.index]?.play.name ?? event.play } : {};
    const stamped: Event = { ...event, ...named, seq: ++seq, time: Date.now() };
    fold.add(stamped);
    log?.event(stamped);
    push(stamped);
  };
  const begin = (): void => {
    if (record !== undefined) {
      const { directory, ...rest } = record;
      writeRecord(directory, { run, ...rest });
    }
    if (attached === undefined) {
      emit({
        type: "run:start",
        run,
        playbook: playbook.name,
        hosts: hosts.map(({ name }) => name),
        plays: plays.map(({ play, hosts: some }) => ({
          name: play.name,
          hosts: some.map(({ name }) => name),
        })),
        check: plan.check,
        concurrency: plan.limits.concurrency,
      });
      // A run without any bundle has built none.
      if (bundle.bytes.length > 0)
        emit({
          type: "run:build",
          bundle: bundle.id,
          bytes: bundle.bytes.length,
          elapsedMs: plan.buildMs,
          reused: bundle.reused,
        });
    }
    log?.save();
    for (const { host, level, text } of plan.notes) emit({ type: "log", host, level, text });
  };
  return {
    replay: (event) => {
      fold.add(event);
      push(event);
      seq = event.seq;
    },
    begin,
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

/** The log of one run: a file of NDJSON, for finding out afterwards. */
export interface RunLog {
  /** Undefined when the file cannot be written. */
  readonly file: string | undefined;
  /** False once something could not be written. */
  readonly isWhole: boolean;
  event(event: Event): void;
  /** Write what is held back. */
  save(): void;
  close(): void;
}

const SAVE_MS = 200;

/** Open the log of a run. Where the file cannot be written, the run continues without a log. */
export function openRunLog(file: string): RunLog {
  let lines: LineFile | undefined;
  let logger: Logger | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    makeDirectories(dirname(file), 0o700);
    const opened = openLineFile(file);
    lines = opened;
    // Buffered events are lost if this process is killed.
    timer = setInterval(opened.save, SAVE_MS);
    timer.unref();
    logger = pino(
      { base: null, level: "debug", timestamp: false, formatters: { level: (label) => ({ level: label }) } },
      opened,
    );
  } catch (thrown) {
    // A read-only home or a full disk. Errors without a code are bugs.
    if ((thrown as NodeJS.ErrnoException).code === undefined) throw thrown;
  }
  return {
    file: logger === undefined ? undefined : file,
    get isWhole() {
      return lines?.isWhole === true;
    },
    event: (event) => logger?.[levelOf(event)](event),
    save: () => lines?.save(),
    close: () => {
      clearInterval(timer);
      lines?.close();
    },
  };
}

function levelOf(event: Event): "debug" | "info" | "warn" {
  switch (event.type) {
    case "task:output":
    case "host:upload":
      return "debug";
    case "task:end":
      return event.result.state === "failed" ? "warn" : "info";
    case "host:end":
      return event.outcome === "ok" ? "info" : "warn";
    case "log":
      return event.level === "warn" ? "warn" : "info";
    default:
      return "info";
  }
}

/** A file to add lines to, written in pieces of 8 KiB. On a full disk it ends where the space did. */
export interface LineFile {
  /** False once something could not be written. */
  readonly isWhole: boolean;
  write(line: string): void;
  /** Write what is held back: the system has it then, and it outlives this process. */
  save(): void;
  /** Write what is held back, and close the file. */
  close(): void;
}

const HELD_CHARACTERS = 8_192;

/**
 * Open a file to add lines to, mode 0600. pino's own destination would wait for the disk at each flush and once more at
 * the end, which a run of half a second notices. Throws when the file cannot be opened.
 */
export function openLineFile(file: string): LineFile {
  const descriptor = openSync(file, "a", 0o600);
  let held = "";
  let isWhole = true;
  let isOpen = true;
  const save = (): void => {
    if (held === "" || !isWhole) return;
    try {
      writeFileSync(descriptor, held);
    } catch {
      isWhole = false;
    }
    held = "";
  };
  return {
    get isWhole() {
      return isWhole;
    },
    write: (line) => {
      if (!isWhole || !isOpen) return;
      held += line;
      if (held.length >= HELD_CHARACTERS) save();
    },
    save,
    close: () => {
      save();
      isOpen = false;
      closeSync(descriptor);
    },
  };
}
