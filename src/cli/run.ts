import { type Command, InvalidArgumentError, Option } from "commander";
import type { Run } from "../controller/run.ts";
import type { Via } from "../controller/session/state.ts";
import { VolleyError } from "../core/errors.ts";
import type { Event, Summary } from "../core/events.ts";
import { createReporter, type ReporterKind } from "../reporter/kinds.ts";
import type { Reporter } from "../reporter/reporter.ts";
import {
  addBecomeOptions,
  addBecomePasswordOptions,
  addConnectionOptions,
  addInventoryOptions,
  addSecretOptions,
  type BecomeFlags,
  becomeOptions,
  type ConnectionFlags,
  collect,
  type InventoryFlags,
  inventoryPaths,
  reachOptions,
  type SecretFlags,
  seconds,
  secretOptions,
  splitList,
} from "./options.ts";
import { expandLimit, latestRunOf, recordedRun } from "./runs.ts";
import { askPassphrase, outputOption, shownAs } from "./terminal.ts";

// The commands that carry out a run and show it: `volley run` and `volley attach`.

interface RunFlags extends InventoryFlags, ConnectionFlags, BecomeFlags, SecretFlags {
  readonly check?: boolean;
  readonly diff?: boolean;
  readonly tags?: readonly string[];
  readonly skipTags?: readonly string[];
  readonly output: ReporterKind;
  readonly verbose: number;
  readonly resume?: string | true;
  readonly hostTimeout?: number;
  readonly seed?: string;
  readonly via: Via;
  readonly timing?: boolean;
}

/** Add `volley run`. */
export function addRunCommand(program: Command): void {
  const command = program
    .command("run <playbook>")
    .summary("carry out a playbook on its hosts")
    .description(
      "Bundle a playbook, send the bundle to every host that lacks it, run it there and show what happens.",
    );
  addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option("-C, --check", "change nothing, show what would change")
    .option("-D, --diff", "show what changes inside files")
    .option(
      "--host-timeout <seconds>",
      "time limit of a host for each play that sets none itself (default: no limit)",
      seconds,
    )
    .addOption(
      new Option(
        "--via <method>",
        "bundle: send a bundle to each host and run it there; direct: work action by action over one connection; auto: bundle where the host has a usable Node, else direct",
      )
        .choices(["auto", "bundle", "direct"])
        .default("auto"),
    )
    .option("--seed <text>", "seed of plays in shuffled order (default: the run's name)")
    .option(
      "-t, --tags <tags>",
      "run only tasks with one of these tags (comma separated); repeatable",
      tagsToRun,
    )
    .option("--skip-tags <tags>", "skip tasks with one of these tags; repeatable", collect)
    .addOption(outputOption())
    .option(
      "-v, --verbose",
      "plain output: show unchanged tasks too; twice: also the output of tasks",
      (_value: string, before: number) => before + 1,
      0,
    )
    .option("--timing", "show at the end where the time went: phases, and the slowest actions")
    .option(
      "--resume [run]",
      "go on where an earlier run stopped on each host (default: the latest run of this playbook)",
      runToResume,
    )
    .addHelpText(
      "after",
      "\nExit codes: 0 all ok, 1 usage or set-up (nothing was run), 2 some host failed, 4 some host unreachable or lost, 70 never ended, 130 cancelled.\n",
    )
    .action(async (playbook: string, flags: RunFlags) => {
      process.exitCode = await runPlaybook(playbook, flags);
    });
}

/** Refuse `--tags ''`, which would run all tasks. */
function tagsToRun(value: string, before: readonly string[] | undefined): readonly string[] {
  if (splitList([value]).length > 0) return collect(value, before);
  throw new InvalidArgumentError("It names no tag: leave it out to run all tasks.");
}

/** Refuse a playbook behind `--resume`: commander would take it for the run's name, and miss the playbook. */
function runToResume(value: string): string {
  if (!/\.[cm]?[jt]s$/.test(value)) return value;
  throw new InvalidArgumentError("It is a playbook, not a run: write it before --resume.");
}

async function runPlaybook(playbook: string, flags: RunFlags): Promise<number> {
  const { run } = await import("../controller/run.ts");
  const limit = await expandLimit(flags.limit);
  const resume = flags.resume === true ? await latestRunOf(playbook) : await recordedRun(flags.resume);
  const running = run({
    ...(await reachOptions(flags)),
    ...(await becomeOptions(flags)),
    inventory: inventoryPaths(flags),
    playbook,
    secrets: secretOptions(flags),
    concurrency: flags.forks,
    ...(flags.hostTimeout === undefined ? {} : { hostTimeoutMs: flags.hostTimeout * 1_000 }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    via: flags.via,
    check: flags.check ?? false,
    // The screen shows diffs in each host's log; other output shows them only with --diff.
    diff:
      flags.diff ?? (flags.output === "ink" || (flags.output === "auto" && process.stdout.isTTY === true)),
    tags: splitList(flags.tags),
    skipTags: splitList(flags.skipTags),
    ...(limit === undefined ? {} : { limit }),
    ...(resume === undefined ? {} : { resume }),
  });
  const summary = await watchRun(running, {
    output: flags.output,
    verbosity: Math.min(flags.verbose, 2) as 0 | 1 | 2,
    diff: flags.diff ?? false,
    timing: flags.timing ?? false,
  });
  return summary.exitCode;
}

interface AttachFlags extends Pick<BecomeFlags, "askBecomePass" | "becomePasswordFile"> {
  readonly output: ReporterKind;
  readonly timing?: boolean;
}

/** Add `volley attach`. */
export function addAttachCommand(program: Command): void {
  const command = program
    .command("attach [run]")
    .summary("pick up a run whose controller was ended")
    .description(
      "Ask the hosts of a run for what they have done since its controller ended, and go on with the run. Of a run that has ended, show the result. Default: the latest run.",
    );
  addBecomePasswordOptions(command)
    .addOption(outputOption())
    .option("--timing", "show at the end where the time went: phases, and the slowest actions")
    .action(async (name: string | undefined, flags: AttachFlags) => {
      process.exitCode = await attach(name, flags);
    });
}

async function attach(name: string | undefined, flags: AttachFlags): Promise<number> {
  const { output, timing = false } = flags;
  const { isControlled, listPlaybookRuns, readEvents, readRecord, readSummary, runsDirectory } = await import(
    "../controller/records/records.ts"
  );
  const directory = runsDirectory();
  const run = name ?? listPlaybookRuns(directory)[0];
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet");
  const record = readRecord(directory, run);
  const view = { output, verbosity: 0, diff: false, timing } as const;
  const summary = readSummary(directory, run);
  if (summary !== undefined) {
    await showEvents(readEvents(directory, run), summary, view);
    return summary.exitCode;
  }
  if (isControlled(record)) {
    throw new VolleyError("USAGE", `run ${run} has a controller: process ${record.pid} works on it`, {
      hint: "end that process first if it hangs",
    });
  }
  const [{ attachOptions }, { run: start }] = await Promise.all([
    import("../controller/prepare/options.ts"),
    import("../controller/run.ts"),
  ]);
  const password = await becomeOptions(flags);
  const asking = process.stdin.isTTY === true ? { askPassphrase } : {};
  return (await watchRun(start({ ...attachOptions(run), ...asking, ...password }), view)).exitCode;
}

/** Options of showing a run. */
interface WatchOptions {
  readonly output: ReporterKind;
  readonly verbosity: 0 | 1 | 2;
  readonly diff: boolean;
  /** Show the time of phases and tasks at the end. Default false. */
  readonly timing?: boolean;
}

/** Show a run that has ended. */
async function showEvents(
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
