import type { ControllerEvent, Event, ReceivedEvent, Summary } from "../core/events.ts";
import { foldSummary } from "../core/summary.ts";
import { openRunLog } from "./run-log.ts";
import { logFileOf } from "./run-records.ts";

/** Where the events of a run go to. */
export interface Recorder {
  readonly emit: (event: ReceivedEvent | ControllerEvent) => void;
  /** Writes down what there is: what follows may be lost with this process. */
  save(): void;
  /** Ends the run with its summary. */
  finish(): Summary;
}

/** What a recorder is made with. */
export interface RecorderOptions {
  readonly run: string;
  /** Undefined: nothing is written down. */
  readonly directory: string | undefined;
  readonly push: (event: Event) => void;
  /** Events an earlier controller has written down: they are told again, and count. */
  readonly earlier: readonly Event[];
}

/** Stamps the events of a run, folds them, writes them down and passes them on. */
export function openRecorder({ run, directory, push, earlier }: RecorderOptions): Recorder {
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
