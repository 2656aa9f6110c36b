import type { Run } from "../controller/run.ts";
import type { Event, Summary } from "../core/events.ts";
import type { Reporter } from "../reporter/output.ts";
import { createReporter, type ReporterKind } from "../reporter/reporter.ts";
import { shownAs } from "./terminal.ts";

/** Options of showing a run. */
export interface WatchOptions {
  readonly output: ReporterKind;
  readonly verbosity: 0 | 1 | 2;
  readonly diff: boolean;
  /** Show the time of phases and tasks at the end. Default false. */
  readonly timing?: boolean;
}

/** Show a run that has ended. */
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

/** Show a run until it ends. Ctrl-C cancels it cleanly; a second one ends it now. */
export async function watchRun(
  run: Run,
  { output: wished, verbosity, diff, timing = false }: WatchOptions,
): Promise<Summary> {
  const output = shownAs(wished);
  const events = run[Symbol.asyncIterator]();
  // Wait for the first event: errors before it are shown without a screen.
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
    // Give the terminal back before the error is shown.
    await reporter.close();
    throw thrown;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/** Add timing to a reporter; with `json`, whose events go to standard output, on standard error. */
async function withTiming(reporter: Reporter, timing: boolean, kind: ReporterKind): Promise<Reporter> {
  if (!timing) return reporter;
  const { addTiming } = await import("../reporter/timing.ts");
  return addTiming(reporter, { stdout: kind === "json" ? process.stderr : process.stdout, env: process.env });
}
