import { type Command, InvalidArgumentError, Option } from "commander";
import type { Via } from "../controller/session/state.ts";
import type { ReporterKind } from "../reporter/reporter.ts";
import {
  addBecomeOptions,
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
import { expandLimit, latestRunOf } from "./runs.ts";
import { outputOption } from "./terminal.ts";
import { watchRun } from "./watch-run.ts";

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
      collect,
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
      "\nExit codes: 0 all ok, 1 usage or set-up (nothing was run), 2 some host failed, 4 some host unreachable or lost, 130 cancelled.\n",
    )
    .action(async (playbook: string, flags: RunFlags) => {
      process.exitCode = await runPlaybook(playbook, flags);
    });
}

/** Refuse a playbook behind `--resume`: commander would take it for the run's name, and miss the playbook. */
function runToResume(value: string): string {
  if (!/\.[cm]?[jt]s$/.test(value)) return value;
  throw new InvalidArgumentError("It is a playbook, not a run: write it before --resume.");
}

async function runPlaybook(playbook: string, flags: RunFlags): Promise<number> {
  const { run } = await import("../controller/run.ts");
  const limit = await expandLimit(flags.limit);
  const resume = flags.resume === true ? await latestRunOf(playbook) : flags.resume;
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
