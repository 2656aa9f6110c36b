import { type Command, InvalidArgumentError, Option } from "commander";
import type { Via } from "../controller/session/state.ts";
import type { ReporterKind } from "../reporter/reporter.ts";
import { addBecomeOptions, type BecomeFlags, becomeOptions } from "./become-options.ts";
import {
  addConnectionOptions,
  addInventoryOptions,
  type ConnectionFlags,
  collect,
  type InventoryFlags,
  inventoryPaths,
  splitList,
} from "./options.ts";
import { expandLimit, latestRunOf } from "./past-runs.ts";
import { reachOptions, seconds } from "./reach-options.ts";
import { addSecretOptions, type SecretFlags, secretOptions } from "./secret-options.ts";
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

/** Adds `volley run`. */
export function addRunCommand(program: Command): void {
  const command = program
    .command("run <playbook>")
    .summary("carry out a playbook on its hosts")
    .description(
      "Bundles a playbook, sends the bundle to every host that lacks it, runs it there and shows what happens.",
    );
  addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option("-C, --check", "change nothing, say what would change")
    .option("-D, --diff", "show what changes inside files")
    .option(
      "--host-timeout <seconds>",
      "time a host may take for each play that does not say it itself (default: no limit)",
      seconds,
    )
    .addOption(
      new Option(
        "--via <method>",
        "auto: a bundle where the host has a usable Node, else directly; bundle: sent to each host and run there; direct: action by action over one connection",
      )
        .choices(["auto", "bundle", "direct"])
        .default("auto"),
    )
    .option("--seed <text>", "what plays in shuffled order are shuffled by (default: the run's name)")
    .option("-t, --tags <tags>", "only tasks with one of these tags (comma separated); repeatable", collect)
    .option("--skip-tags <tags>", "not the tasks with one of these tags; repeatable", collect)
    .addOption(
      new Option("-o, --output <kind>", "how to show it")
        .choices(["auto", "ink", "plain", "json"])
        .default("auto"),
    )
    .option(
      "-v, --verbose",
      "plain output: also unchanged tasks; twice: also what they print",
      (_value: string, before: number) => before + 1,
      0,
    )
    .option("--timing", "at the end, say where the time went: phases, and the slowest actions")
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

/** What stands behind `--resume` is a run; a playbook there would be missed elsewhere. */
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
    // The screen shows diffs in each host's log; a pipe gets them when asked.
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
