import { type Command, InvalidArgumentError } from "commander";
import { addBecomeOptions, type BecomeFlags } from "./become-options.ts";
import {
  addConnectionOptions,
  addInventoryOptions,
  type ConnectionFlags,
  collect,
  type InventoryFlags,
  positiveInteger,
} from "./options.ts";
import { addSecretOptions, type SecretFlags } from "./secret-options.ts";

/** The flags of `volley compare`. */
export interface CompareFlags extends InventoryFlags, ConnectionFlags, BecomeFlags, SecretFlags {
  readonly methods?: readonly string[];
  readonly also?: readonly string[];
  readonly runs: number;
  readonly warmUps: number;
  readonly cold?: boolean;
  readonly warm?: boolean;
  readonly both?: boolean;
  readonly rtt: readonly number[];
  readonly reset?: string;
  readonly resetHosts?: string;
  readonly json?: string;
  readonly csv?: string;
  readonly html?: string;
}

/** Adds `volley compare`. */
export function addCompareCommand(program: Command): void {
  const command = program
    .command("compare <playbook>")
    .summary("time ways to carry out a playbook, and other programs, against each other")
    .description(
      "Carries out a playbook in several ways in turn, on the same hosts from the same state, and says how they compare: time, processor time, bytes, round trips, time per phase; medians, how far they spread, and whether a difference is more than chance. All connections go through proxies in this process, which count, and add the time of a distance where that is asked for.\n\nThe runs are real: they change the hosts as volley run does.",
    );
  addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option(
      "--methods <names>",
      "bundle, direct, or both with a comma; none: only what --also names",
      collect,
    )
    .option(
      "--also <name=command>",
      "time this command of the shell as well; {inventory} in it, and $VOLLEY_INVENTORY, is an inventory for Ansible that leads through the proxies; ansible=site.yml is short for ansible-playbook; repeatable",
      collect,
    )
    .option("--runs <number>", "runs of each way that are counted", positiveInteger, 10)
    .option("--warm-ups <number>", "runs of each way before these", wholeNumber, 1)
    .option("--warm", "with what earlier runs left: builds here, bundles on the hosts (default)")
    .option("--cold", "without it")
    .option("--both", "each way with it and without")
    .option("--rtt <times>", "add the time of a round trip, in ms: 0,20,100ms", roundTrips, [0])
    .option("--reset <command>", "run this command of the shell here before each run")
    .option("--reset-hosts <line>", "run this line in sh on every host, as the login user, before each run")
    .option("-C, --check", "change nothing, say what would change")
    .option("-t, --tags <tags>", "only tasks with one of these tags (comma separated); repeatable", collect)
    .option("--skip-tags <tags>", "not the tasks with one of these tags; repeatable", collect)
    .option("--json <file>", "write what was measured as JSON, - to stdout instead of the table")
    .option("--csv <file>", "write a line for each run as CSV, - to stdout instead of the table")
    .option("--html <file>", "write a page")
    .addHelpText(
      "after",
      `
Examples:
  volley compare site.ts -l web --both
  volley compare site.ts --methods bundle --also ansible=site.yml --rtt 0,20,100ms --html compare.html
  volley compare site.ts --methods none --also 'a=./one.sh' --also 'b=./other.sh' --csv -

Ctrl-C ends the run that is under way, and shows what there is.
Exit codes: 0 compared, 1 usage, a run that failed, or runs that did not do the same, 130 cancelled.
`,
    )
    .action(async (playbook: string, flags: CompareFlags) => {
      const { compare } = await import("./compare/compare.ts");
      process.exitCode = await compare(playbook, flags, command);
    });
}

/** `0,20,100ms`, in milliseconds. */
export function roundTrips(text: string): readonly number[] {
  const times = text.split(",").map((part) => {
    const [, amount] = /^\s*(\d+(?:\.\d+)?)\s*(?:ms)?\s*$/.exec(part) ?? [];
    if (amount === undefined || Number(amount) > 10_000)
      throw new InvalidArgumentError("It takes milliseconds up to 10000: 0,20,100ms.");
    return Number(amount);
  });
  return [...new Set(times)];
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}
