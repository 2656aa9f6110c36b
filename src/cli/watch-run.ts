import type { Run } from "../controller/run.ts";
import type { Event, Summary } from "../core/events.ts";
import { createReporter, type Reporter, type ReporterKind } from "../reporter/reporter.ts";

import { shownAs } from "./terminal.ts";

/** How a run is shown. */
export interface WatchOptions {
  readonly output: ReporterKind;
  readonly verbosity: 0 | 1 | 2;
  readonly diff: boolean;
  /** Whether to say at the end where the time went. Default false. */
  readonly timing?: boolean;
}

/** Shows a run that has ended. */
export async function showEvents(
  events: readonly Event[],
  summary: Summary,
  { output, verbosity, diff, timing = false }: WatchOptions,
): Promise<void> {
  const { stdout, env } = process;
  const kind = output === "auto" || output === "ink" ? "plain" : output;
  const reporter = await withTiming(
    await createReporter(kind, { stdout, env, verbosity, diff, onCancel: () => {} }),
    timing,
    kind,
  );
  for (const event of events) reporter.event(event);
  await reporter.end(summary);
}

/** Shows a run until it ends; Ctrl-C once stops it cleanly, twice at once. */
export async function watchRun(
  run: Run,
  { output: wished, verbosity, diff, timing = false }: WatchOptions,
): Promise<Summary> {
  const output = shownAs(wished);
  const events = run[Symbol.asyncIterator]();
  // Whatever is wrong before the first event is told before a screen is opened.
  const first = await events.next();
  const shown = await createReporter(output, {
    stdout: process.stdout,
    stdin: process.stdin,
    env: process.env,
    verbosity,
    diff,
    onCancel: () => run.cancel(),
  });
  const reporter = await withTiming(shown, timing, output);
  const onSignal = (): void => run.cancel();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    if (first.done !== true) reporter.event(first.value);
    for (let next = await events.next(); next.done !== true; next = await events.next())
      reporter.event(next.value);
    const summary = await run.summary;
    await reporter.end(summary);
    return summary;
  } catch (thrown) {
    // The terminal is given back before the error is told.
    await reporter.close();
    throw thrown;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/** Beside the events of `json`, which are standard output's, timing is told on standard error. */
async function withTiming(reporter: Reporter, timing: boolean, kind: ReporterKind): Promise<Reporter> {
  if (!timing) return reporter;
  const { addTiming } = await import("../reporter/timing/timing.ts");
  return addTiming(reporter, { stdout: kind === "json" ? process.stderr : process.stdout, env: process.env });
}
