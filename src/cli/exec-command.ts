import { type Command, InvalidArgumentError, Option } from "commander";
import { VolleyError } from "../core/errors.ts";
import { addBecomeOptions, type BecomeFlags } from "./become-options.ts";
import {
  addConnectionOptions,
  addInventoryOptions,
  type ConnectionFlags,
  collect,
  type InventoryFlags,
} from "./options.ts";
import { addSecretOptions, type SecretFlags } from "./secret-options.ts";

/** What `volley exec` can be told to show. */
export type ExecOutput = "auto" | "ink" | "plain" | "fold" | "json";

/** The flags of `volley exec`. */
export interface ExecFlags extends InventoryFlags, ConnectionFlags, BecomeFlags, SecretFlags {
  readonly script?: string;
  readonly stdin?: string;
  readonly env?: readonly string[];
  readonly timeout?: number;
  readonly pty?: boolean;
  readonly output: ExecOutput;
  readonly fold?: boolean;
  readonly diff?: boolean;
  readonly outDir?: string;
}

/** What stands on the command line beside flags. */
export interface ExecWords {
  /** Before the command; undefined: those of `--limit`. */
  readonly hosts: string | undefined;
  /** A line for the shell; undefined when words or a script are given. */
  readonly line: string | undefined;
  /** What stands behind `--`. */
  readonly words: readonly string[];
}

/** Adds `volley exec`. */
export function addExecCommand(program: Command): void {
  const command = program
    .command("exec")
    .summary("run a command on many hosts at a time")
    .description(
      "Runs a command or a script on every host, needing nothing there but sshd.\n\n" +
        "Which hosts comes first: a pattern, host names, web[01-17,19], or - for names on stdin. Then the command, either as one quoted line for sh, or behind -- as a program and its arguments, which are passed as they are.",
    )
    .usage(
      "[options] <hosts> '<line>'\n       volley exec [options] [hosts] -- <program> [arguments...]\n       volley exec [options] [hosts] --script <file> [-- arguments...]",
    )
    .argument("[words...]")
    .helpOption("--help", "show this help")
    .showHelpAfterError(
      "(-- comes before a command with options of its own; --help shows what can be given)",
    );
  addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option("--script <file>", "run this local script, with the interpreter its first line names, else sh")
    .option("--stdin <file>", "give every command this file on its stdin; -: what this one gets")
    .option("--env <NAME=VALUE>", "environment variable of the command; repeatable", collect)
    .option("--timeout <seconds>", "end a command that takes longer", seconds)
    .option("--pty", "run it on a terminal, which merges stderr into stdout")
    .addOption(
      new Option(
        "-o, --output <kind>",
        "how to show it: a screen of hosts, lines as they come, folded at the end, or JSON (default: lines)",
      )
        .choices(["auto", "ink", "plain", "fold", "json"])
        .default("auto"),
    )
    .option("-B, --fold", "the same as --output fold: hosts with the same output together, at the end")
    .option("-D, --diff", "folded, and outputs that differ from the most frequent one as a diff from it")
    .option("--out-dir <dir>", "also write each host's output there, and exit-status.tsv")
    .addHelpText(
      "after",
      `
Examples:
  volley exec web 'df -h / | tail -1'
  volley exec -B 'web[01-17,19]' -- uname -r
  volley exec 'web:&prod' --script check.sh --become -- --verbose
  list-hosts | volley exec - uptime

Ctrl-C ends what runs, TERM first and KILL 5 seconds later; once more leaves at once.
Exit codes: 0 all ok, 1 usage or set-up (nothing was run), 2 some host failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (operands: readonly string[], flags: ExecFlags) => {
      const words = readWords(operands, rawArguments(program), flags);
      const { exec } = await import("./exec/exec.ts");
      process.exitCode = await exec(words, flags);
    });
}

/** Commander gives what stands before and behind `--` as one. */
function rawArguments(program: Command): readonly string[] {
  return (program as Command & { readonly rawArgs: readonly string[] }).rawArgs;
}

/** Tells hosts and command apart. Fails with `USAGE` where they could be taken for each other. */
export function readWords(
  operands: readonly string[],
  raw: readonly string[],
  { script, limit }: Pick<ExecFlags, "script" | "limit">,
): ExecWords {
  const dashes = raw.indexOf("--");
  const words = dashes === -1 ? [] : raw.slice(dashes + 1);
  const before = operands.slice(0, operands.length - words.length);
  const [hosts, line] = before;
  const isLine = script === undefined && words.length === 0;
  if (before.length > (isLine ? 2 : 1)) {
    throw usage(
      isLine
        ? "a command of several words is quoted, or stands behind --"
        : `only the hosts stand before the command, not "${before.join(" ")}"`,
      `volley exec ${hosts} -- ${[...before.slice(1), ...words].join(" ")}`,
    );
  }
  if (isLine && line === undefined) {
    const example =
      hosts === undefined || limit === undefined ? `${hosts ?? "all"} -- uptime` : `-l ${limit} -- ${hosts}`;
    throw usage("there is no command", `volley exec ${example}`);
  }
  // `volley exec web cat -n` means the flag for cat, not for us; what is quoted has its own within.
  if (line !== undefined && !/\s/.test(line) && raw.at(-1) !== line)
    throw usage(
      "the command comes last: quote it with its arguments, or put -- before it",
      `volley exec ${hosts} -- ${line} …`,
    );
  if (hosts === undefined && limit === undefined) throw usage("which hosts?", "volley exec all -- uptime");
  return { hosts, line, words };
}

function usage(problem: string, example: string): VolleyError {
  return new VolleyError("USAGE", problem, { hint: `write: ${example}` });
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("It must be a number of seconds above 0.");
  return value;
}
