import * as fs from "node:fs";
import type { SerializedError } from "../../core/errors.ts";
import type { ControllerEvent, Event, Outcome } from "../../core/events.ts";
import { EMPTY_TALLY } from "../../core/result.ts";
import { foldSummary } from "../../core/summary.ts";
import {
  type FanOutKind,
  fanOutSuffix,
  logFileOf,
  makeRunId,
  runsDirectory,
  writeRecord,
} from "./records.ts";

/** The end of a fan-out on one host. */
export interface FanOutEnd {
  readonly host: string;
  readonly outcome: Outcome;
  readonly elapsedMs: number;
  /** True when a transfer changed the host; undefined for a command. */
  readonly changed?: boolean;
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
  readonly ends: readonly FanOutEnd[];
}

/**
 * Write down the hosts of a fan-out and how it ended there, so that `@failed`, `@changed` and `@RUN` work as for a run.
 * The output of hosts is not kept. Where the record cannot be written, it is left out.
 */
export function recordFanOut(record: FanOutRecord, directory = runsDirectory()): void {
  const { kind, title, startedAt, concurrency, ends } = record;
  const run = `${makeRunId(new Date(startedAt))}${fanOutSuffix(kind)}`;
  const hosts = ends.map(({ host }) => host);
  const endedAt = Date.now();
  const fold = foldSummary();
  let seq = 0;
  const stamp = (event: ControllerEvent, time: number): Event => ({ ...event, seq: ++seq, time });
  const events: Event[] = [
    stamp(
      { type: "run:start", run, playbook: title, hosts, plays: [], check: false, concurrency },
      startedAt,
    ),
    ...ends.map(({ host, outcome, elapsedMs, changed, error }) => {
      const tally =
        changed === undefined ? EMPTY_TALLY : { ...EMPTY_TALLY, [changed ? "changed" : "unchanged"]: 1 };
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
    options: { playbook: title },
  });
  try {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join("");
    fs.writeFileSync(logFileOf(directory, run), lines, { mode: 0o600 });
  } catch {
    // The home is read-only, or the disk full: go on, as without a run's log.
  }
}
