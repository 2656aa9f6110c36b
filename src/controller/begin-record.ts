import type { Bundle } from "../bundle/build.ts";
import type { Event } from "../core/events.ts";
import { recordable } from "./attach-options.ts";
import { onceFileOf } from "./once-results.ts";
import type { PreparedRun } from "./prepare-run.ts";
import { openRecorder, type Recorder } from "./recorder.ts";
import { DEFAULTS, type RunOptions } from "./run-options.ts";
import { makeRunId, readEvents, readRecord, runsDirectory, writeRecord } from "./run-records.ts";
import { type EarlierPart, readEarlier } from "./session/earlier.ts";

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
