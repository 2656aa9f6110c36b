import type { Command } from "commander";
import type { RunOptions } from "../../controller/prepare/options.ts";
import type { HostQueue } from "../../controller/queued/host-queue.ts";
import type { Run } from "../../controller/run.ts";
import { isBundleFile } from "../../core/bundle.ts";
import { exitCodeFor, VolleyError } from "../../core/errors.ts";
import type { Event, Summary } from "../../core/events.ts";
import { createReporter, type ReporterKind } from "../../reporter/kinds.ts";
import type { Reporter, ReporterOptions } from "../../reporter/reporter.ts";
import type { WebServer } from "../../reporter/web/server.ts";
import { leaveMisfits } from "../completion/flags.ts";
import {
  addBecomePasswordOptions,
  addPersistOptions,
  type BecomeFlags,
  becomeOptions,
  inventoryPaths,
  type PersistFlags,
  persistOption,
  reachOptions,
  secretOptions,
  splitList,
} from "../options.ts";
import { attachByQueue } from "../queue/attach.ts";
import { queueAccessOptions } from "../queue/options.ts";
import {
  addPatienceOptions,
  openRunQueue,
  type RunQueueFlags,
  refuseWithoutQueue,
} from "../queue/run-queue.ts";
import { askPassphrase, askVar, outputOption, rememberAnswers, shownAs, stepQuestions } from "../terminal.ts";
import { ansibleErrorText } from "./ansible-errors.ts";
import { namesInventory, readBundlesHere, refuseConnections } from "./local.ts";
import {
  addRunOptions,
  ansibleSettings,
  inventoriesOf,
  isAnsiblePlaybook,
  type RunFlags,
  runBecomeOptions,
  type SettledFlags,
  settleFlags,
  warnOfFlags,
  withLibrary,
} from "./options.ts";
import { expandLimit, latestRunOf, recordedRun } from "./runs.ts";
import { type WebFlags, webOption, withWeb } from "./web.ts";

// The commands that carry out a run and show it: `volley run` and `volley attach`.

/** Add `volley run`. */
export function addRunCommand(program: Command): void {
  const command = program
    .command("run <playbook...>")
    .summary("carry out a playbook on its hosts")
    .description(
      "Bundle a playbook, send the bundle to every host that lacks it, run it there and show what happens. Several playbooks are carried out in turn, up to the first that fails. The options are ansible-playbook's.",
    );
  addRunOptions(command)
    .addHelpText(
      "after",
      "\nExit codes: 0 all ok, 1 usage or set-up (nothing was run), 2 some host failed, 4 some host unreachable or lost, 70 never ended, 130 cancelled.\n",
    )
    .action(async (playbooks: readonly string[], flags: RunFlags) => {
      if (flags.local === true && playbooks.some(isBundleFile)) {
        process.exitCode = await runBundles(playbooks, flags, command);
        return;
      }
      if (flags.local === true) refuseConnections(command);
      try {
        process.exitCode = await runPlaybooks(playbooks, flags);
      } catch (thrown) {
        const text = playbooks.every((playbook) => outputFor(playbook, flags.output) === "ansible")
          ? ansibleErrorText(thrown, playbooks)
          : undefined;
        if (text === undefined) throw thrown;
        process.stderr.write(text);
        process.exitCode = exitCodeFor(thrown);
      }
    });
}

async function runPlaybooks(playbooks: readonly string[], given: RunFlags): Promise<number> {
  const isAnsible = playbooks.some(isAnsiblePlaybook);
  const settings = await ansibleSettings(playbooks);
  const ansible = withLibrary(settings, given.modulePath);
  const flags = settleFlags(given, settings);
  warnOfFlags(flags, isAnsible);
  const { findProject } = await import("../../bundle/playbook.ts");
  // A playbook that is missing is told before the first one is run.
  for (const playbook of playbooks) findProject(playbook, process.cwd());
  const limit = await expandLimit(limitOf(flags, isAnsible));
  const { local } = flags;
  const inventories = (): readonly string[] =>
    local === true && (limit ?? "localhost") === "localhost" && !namesInventory(flags)
      ? ["localhost,"]
      : inventoriesOf(flags, inventoryPaths, isAnsible);
  if (local === true) nameNode();
  const { listHosts, listTasks, listTags, syntaxCheck, extraVars, connection } = flags;
  if ([listHosts, listTasks, listTags, syntaxCheck].includes(true)) {
    const { listPlaybooks } = await import("./listing.ts");
    return await listPlaybooks(playbooks, {
      ...{ listHosts, listTasks, listTags, inventories, limit, local, extraVars, connection, ansible },
      tags: splitList(flags.tags),
      skipTags: splitList(flags.skipTags),
      secrets: { ...secretOptions(flags), ask: askPassphrase },
    });
  }
  const inventory = inventories();
  refuseMoreToResume(flags, playbooks);
  const reach = await reachOptions(flags);
  const become = await runBecomeOptions(flags, reach.password);
  const asking =
    reach.askPassphrase === undefined ? {} : { askPassphrase: rememberAnswers(reach.askPassphrase) };
  const output = flags.step === true ? plainForStep(flags.output) : flags.output;
  const queue = await openRunQueue(flags);
  return withWeb(flags, async (web) => {
    for (const playbook of playbooks) {
      const exitCode = await runPlaybook(
        playbook,
        flags,
        {
          ...reach,
          ...become,
          ...asking,
          ...(process.stdin.isTTY === true ? { askVar } : {}),
          inventory,
          playbook,
          ...(flags.port === undefined ? {} : { port: flags.port }),
          sshArguments: flags.sshArguments,
          ...(connection === undefined ? {} : { connection }),
          ...(local === undefined ? {} : { local }),
          secrets: secretOptions(flags),
          // Workers say themselves how many hosts they take.
          ...(queue !== undefined && given.forks === undefined ? {} : { concurrency: flags.forks }),
          ...(flags.hostTimeout === undefined ? {} : { hostTimeoutMs: flags.hostTimeout * 1_000 }),
          ...(flags.seed === undefined ? {} : { seed: flags.seed }),
          via: flags.via,
          ...(flags.runtime ? {} : { runtime: "never" as const }),
          ...courseOf(flags),
          ...(limit === undefined ? {} : { limit }),
          ...(extraVars === undefined ? {} : { extraVars }),
          ...(ansible === undefined ? {} : { ansible }),
          ...(flags.startAtTask === undefined ? {} : { startAtTask: flags.startAtTask }),
          ...(flags.flushCache === true ? { flushFactCache: true } : {}),
          ...(flags.forceHandlers === undefined ? {} : { forceHandlers: flags.forceHandlers }),
        },
        outputFor(playbook, output),
        web,
        queue?.queue,
      );
      if (exitCode !== 0) return exitCode;
    }
    return 0;
  }).finally(() => queue?.close());
}

/** Carry out bundles on this machine, one after the other, up to the first that fails. Returns the exit code. */
async function runBundles(files: readonly string[], given: RunFlags, command: Command): Promise<number> {
  const bundles = await readBundlesHere(files, given, command);
  refuseMoreToResume(given, files);
  const flags = settleFlags(given, undefined);
  const { limit, output } = flags;
  nameNode();
  return withWeb(flags, async (web) => {
    for (const { file, playbook } of bundles) {
      const exitCode = await runPlaybook(
        file,
        flags,
        {
          ...courseOf(flags),
          ...(limit === undefined ? {} : { limit }),
          ...{ inventory: [], playbook: file, local: true },
        },
        outputFor(playbook, output),
        web,
      );
      if (exitCode !== 0) return exitCode;
    }
    return 0;
  });
}

/** The options that runs of playbooks and of bundles share. */
function courseOf(
  flags: SettledFlags,
): Pick<RunOptions, "check" | "diff" | "tags" | "skipTags" | "verbosity"> {
  const isWatched = flags.output === "ink" || (flags.output === "auto" && process.stdout.isTTY === true);
  return {
    check: flags.check ?? false,
    // The screen shows diffs in each host's log, and a page in a section; other output shows them only with --diff.
    diff: flags.diff ?? (isWatched || flags.web !== undefined),
    tags: splitList(flags.tags),
    skipTags: splitList(flags.skipTags),
    verbosity: flags.verbose,
  };
}

/** Let a bundle on this machine start the Node that runs this program, which is on no PATH, maybe. */
function nameNode(): void {
  process.env.VOLLEY_NODE ||= process.execPath;
}

function refuseMoreToResume({ resume }: RunFlags, files: readonly string[]): void {
  if (resume !== undefined && files.length > 1)
    throw new VolleyError("USAGE", "--resume goes on with one playbook: name no other");
}

/** Scripts read what ansible-playbook prints. */
function outputFor(playbook: string, output: ReporterKind): ReporterKind {
  return output === "auto" && process.stdout.isTTY !== true && isAnsiblePlaybook(playbook)
    ? "ansible"
    : output;
}

/** An empty limit is none in Ansible, whose scripts leave a variable empty; elsewhere it is a mistake. */
function limitOf({ limit }: RunFlags, isAnsible: boolean): string | undefined {
  return isAnsible && limit?.trim() === "" ? undefined : limit;
}

/** Lines leave the terminal to the questions. */
function plainForStep(output: ReporterKind): ReporterKind {
  if (process.stdin.isTTY !== true) {
    throw new VolleyError("USAGE", "--step asks at a terminal, and there is none", {
      hint: "choose tasks with --start-at-task and --tags",
    });
  }
  return output === "json" || output === "ansible" ? output : "plain";
}

async function runPlaybook(
  playbook: string,
  flags: SettledFlags,
  options: RunOptions,
  output: ReporterKind,
  web: WebServer | undefined,
  queue?: HostQueue,
): Promise<number> {
  const { run } = await import("../../controller/run.ts");
  const resume = flags.resume === true ? await latestRunOf(playbook) : await recordedRun(flags.resume);
  const steps = flags.step === true ? stepQuestions(() => running.cancel()) : undefined;
  const course = {
    ...options,
    ...(resume === undefined ? {} : { resume }),
    ...(steps === undefined ? {} : { step: steps.ask }),
  };
  const running: Run = run(course, queue);
  const summary = await watchRun(running, {
    output,
    verbosity: Math.min(flags.verbose, 4) as WatchOptions["verbosity"],
    diff: flags.diff ?? false,
    timing: flags.timing ?? false,
    ...(steps === undefined ? {} : { idle: steps.idle }),
    ...(web === undefined ? {} : { web }),
  });
  return summary.exitCode;
}

interface AttachFlags
  extends Pick<BecomeFlags, "askBecomePass" | "becomePasswordFile">,
    PersistFlags,
    RunQueueFlags,
    WebFlags {
  readonly output: ReporterKind;
  readonly timing?: boolean;
  readonly watch?: boolean;
}

/** Add `volley attach`. */
export function addAttachCommand(program: Command): void {
  const command = program
    .command("attach [run]")
    .summary("pick up a run whose controller was ended")
    .description(
      "Ask the hosts of a run for what they have done since its controller ended, and go on with the run. Of a run that has ended, show the result. Default: the latest run.",
    );
  addPersistOptions(addBecomePasswordOptions(leaveMisfits(command)), "as the run was started")
    .addOption(outputOption())
    .option("--timing", "show at the end where the time went: phases, and the slowest actions")
    .addOption(webOption())
    .option("--queue <url>", "look for the run in this queue, on whatever machine it was started")
    .option("--watch", "only watch a run in a queue, even where its controller is gone");
  for (const option of queueAccessOptions()) command.addOption(option);
  addPatienceOptions((...option) => command.option(...option));
  command.action(async (name: string | undefined, flags: AttachFlags) => {
    process.exitCode =
      flags.queue === undefined ? await attach(name, flags) : await attachInQueue(name, flags);
  });
}

/** Attach to a run in a queue: as its controller, where it has none, else to watch. */
async function attachInQueue(name: string | undefined, flags: AttachFlags): Promise<number> {
  const view = { output: flags.output, verbosity: 0, diff: false, timing: flags.timing ?? false } as const;
  return withWeb(flags, (web) =>
    attachByQueue(name, flags, {
      follow: (run) => watchRun(run, { ...view, ...(web === undefined ? {} : { web }) }),
      show: async (run) => {
        const events: Event[] = [];
        for await (const event of run) events.push(event);
        const summary = await run.summary;
        await showEvents(events, summary, view);
        return summary;
      },
    }),
  );
}

async function attach(name: string | undefined, flags: AttachFlags): Promise<number> {
  refuseWithoutQueue(flags);
  const { output, timing = false } = flags;
  const { isControlled, listPlaybookRuns, readEvents, readRecord, readSummary, runsDirectory } = await import(
    "../../controller/records/records.ts"
  );
  const directory = runsDirectory();
  const run = name ?? listPlaybookRuns(directory)[0];
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet");
  const record = readRecord(directory, run);
  const view = { output, verbosity: 0, diff: false, timing } as const;
  const summary = readSummary(directory, run);
  if (summary !== undefined) {
    if (flags.web !== undefined)
      process.stderr.write(`volley: run ${run} has ended: volley report ${run} writes its page\n`);
    await showEvents(readEvents(directory, run), summary, view);
    return summary.exitCode;
  }
  if (isControlled(record)) {
    throw new VolleyError("USAGE", `run ${run} has a controller: process ${record.pid} works on it`, {
      hint: "end that process first if it hangs",
    });
  }
  const [{ attachOptions, recordedPersist }, { run: start }] = await Promise.all([
    import("../../controller/prepare/options.ts"),
    import("../../controller/run.ts"),
  ]);
  const password = await becomeOptions(flags);
  const kept = flags.persist ?? recordedPersist(run);
  const persist = await persistOption(kept === undefined ? {} : { persist: kept });
  const asking = process.stdin.isTTY === true ? { askPassphrase, askVar } : {};
  return withWeb(flags, async (web) => {
    const attached = start({ ...attachOptions(run), ...persist, ...asking, ...password });
    const summary = await watchRun(attached, { ...view, ...(web === undefined ? {} : { web }) });
    return summary.exitCode;
  });
}

/** Options of showing a run. */
interface WatchOptions {
  readonly output: ReporterKind;
  readonly verbosity: ReporterOptions["verbosity"];
  readonly diff: boolean;
  /** Show the time of phases and tasks at the end. Default false. */
  readonly timing?: boolean;
  /** Shows the run in place of the reporter for `output`. */
  readonly reporter?: Reporter;
  /** Waited for before each event is shown. */
  readonly idle?: () => Promise<void>;
  /** Shows the run to browsers, too. */
  readonly web?: WebServer;
}

/** Show a run that has ended. */
async function showEvents(
  events: Iterable<Event>,
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
  { output: wished, verbosity, diff, timing = false, idle, reporter: own, web }: WatchOptions,
): Promise<Summary> {
  const output = shownAs(wished);
  const events = run[Symbol.asyncIterator]();
  // Wait for the first event: errors before it are shown without a screen.
  const first = await events.next();
  const shown =
    own ??
    (await createReporter(output, {
      stdout: process.stdout,
      stdin: process.stdin,
      env: process.env,
      verbosity,
      diff,
      onCancel: () => run.cancel(),
      ...(web === undefined ? {} : { address: web.url }),
    }));
  const reporter = await withTiming(shown, timing, output);
  const onSignal = (): void => run.cancel();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  const show = (event: Event): void => {
    web?.event(event);
    reporter.event(event);
  };
  try {
    if (first.done !== true) show(first.value);
    for (let next = await events.next(); next.done !== true; next = await events.next()) {
      await idle?.();
      show(next.value);
    }
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
  const { addTiming } = await import("../../reporter/timing.ts");
  return addTiming(reporter, { stdout: kind === "json" ? process.stderr : process.stdout, env: process.env });
}
