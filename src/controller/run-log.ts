import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { type Logger, pino } from "pino";
import type { Event } from "../core/events.ts";
import { type LineFile, openLineFile } from "./line-file.ts";

/** The log of one run: NDJSON, one file, for finding out afterwards. */
export interface RunLog {
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
