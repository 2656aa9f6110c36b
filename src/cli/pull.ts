import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { printable, VolleyError } from "../core/errors.ts";
import { safeLine } from "../reporter/rows/sanitize.ts";
import { expandHome } from "./terminal.ts";

/** The longest interval of the timer. */
const MAX_MINUTES = 7 * 24 * 60;

interface PullFlags {
  readonly signers?: string;
  readonly signer?: string;
  readonly host?: string;
  readonly check?: boolean;
  readonly diff?: boolean;
  readonly vars?: string;
  readonly onlyIfChanged?: boolean;
  readonly allowOlder?: boolean;
  readonly quiet?: boolean;
  /** Minutes. */
  readonly installTimer?: number;
  readonly removeTimer?: boolean;
  readonly script?: boolean;
}

/** Add `volley pull`. */
export function addPullCommand(program: Command): void {
  program
    .command("pull [source]")
    .summary("let this machine provision itself by a signed bundle from elsewhere")
    .description(
      "Get a bundle, verify that an allowed signer made it, and carry it out on this machine. The source is a URL or path of a bundle that volley bundle --sign wrote, or a git repository with one: git+URL, user@host:path or what ends in .git, and behind it #branch:path (default: site.run).",
    )
    .option("--signers <file>", "the allowed signers, as for volley verify; required")
    .option("--signer <identity>", "the identity that must have signed (default: any in the file)")
    .option(
      "--host <name>",
      "the host of the bundle that this machine is (default: by its host name, or the only one)",
    )
    .option("-C, --check", "change nothing, show what would change")
    .option("-D, --diff", "show what changes inside files")
    .option("--vars <file>", "vars of the host, an object in JSON")
    .option(
      "--only-if-changed",
      "do nothing when the bundle, host and vars are those of the last run, and it went well",
    )
    .option("--allow-older", "take a bundle that was signed before the one carried out last")
    .option("-q, --quiet", "print one line, with the result")
    .option(
      "--install-timer <interval>",
      "pull again and again, by systemd or cron: 30m, 2h, 1d; the other options hold for each pull",
      interval,
    )
    .option("--remove-timer", "remove that timer")
    .option("--script", "print a shell script that pulls from a URL, for machines without Node")
    .addHelpText(
      "after",
      "\nExit codes: 0 provisioned or unchanged, 1 refused or usage (nothing was run), 2 something failed, 70 never ended, 130 interrupted.\n",
    )
    .action(async (source: string | undefined, flags: PullFlags) => {
      process.exitCode = await pullOrTime(source, flags);
    });
}

async function pullOrTime(text: string | undefined, flags: PullFlags): Promise<number> {
  const { removeTimer, installTimer, script } = flags;
  if (script === true) {
    if (text !== undefined || Object.keys(flags).length > 1)
      throw usage("--script prints a script for any source: nothing goes with it");
    process.stdout.write((await import("../pull/script.ts")).PULL_SCRIPT);
    return 0;
  }
  if (removeTimer === true) {
    if (text !== undefined || Object.keys(flags).length > 1)
      throw usage("--remove-timer removes the one timer: nothing goes with it");
    refuseNonRoot();
    print((await import("../pull/timer.ts")).removeTimer());
    return 0;
  }
  const { signers } = flags;
  if (text === undefined) throw usage("where is the bundle?");
  if (signers === undefined)
    throw usage("only signed bundles are pulled: who may have signed them? give --signers FILE");
  const [{ parseSource, hasLogin }, { pull }] = await Promise.all([
    import("../pull/source.ts"),
    import("../pull/pull.ts"),
  ]);
  const source = parseSource(text, process.cwd());
  const settled = {
    ...flags,
    signers: resolve(expandHome(signers)),
    ...(flags.vars === undefined ? {} : { vars: resolve(expandHome(flags.vars)) }),
  };
  if (installTimer !== undefined) {
    refuseNonRoot();
    if (hasLogin(source))
      throw usage(
        "every user could read the login in the timer",
        "put it into ~/.netrc of root, or let the host have a key of its own: git over ssh",
      );
    const place = source.kind === "file" ? source.path : text;
    await install(source.shown, installTimer, commandOf(place, settled), settled.signers);
    return 0;
  }
  const { check, diff, onlyIfChanged, allowOlder, quiet, vars, signer, host } = settled;
  const { exitCode, line } = await pull(source, {
    ...{ signers: settled.signers, signer, host, vars },
    check: check === true,
    diff: diff === true,
    onlyIfChanged: onlyIfChanged === true,
    allowOlder: allowOlder === true,
    isQuiet: quiet === true,
  });
  print(line);
  return exitCode;
}

async function install(
  source: string,
  minutes: number,
  command: readonly string[],
  signers: string,
): Promise<void> {
  const [{ installTimer, timerEnvironment }, { refuseOthers }] = await Promise.all([
    import("../pull/timer.ts"),
    import("../pull/places.ts"),
  ]);
  const broken = command.find((word) => /\p{Cc}/u.test(word));
  if (broken !== undefined)
    throw usage(`a timer's command is one line, and "${printable(broken, 300)}" has a control character`);
  // Root runs these again and again.
  for (const file of [signers, ...command.slice(0, 2)]) refuseOthers(file);
  print(installTimer({ minutes, command, source, environment: timerEnvironment(process.env) }));
}

/** The command line of each pull. */
function commandOf(source: string, flags: PullFlags): readonly string[] {
  const { signers, signer, host, vars, check, diff, onlyIfChanged, allowOlder } = flags;
  const values = { signers, signer, host, vars };
  const words = { check, diff, "only-if-changed": onlyIfChanged, "allow-older": allowOlder };
  return [
    ...[process.execPath, realpathSync(process.argv[1]!), "pull", source],
    ...Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...Object.entries(words).flatMap(([name, value]) => (value === true ? [`--${name}`] : [])),
    "--quiet",
  ];
}

/** Parse an interval, such as `30m`, `2h` or `1d`, as minutes. */
function interval(text: string): number {
  const [, amount, unit] = /^(\d{1,5})(m|min|h|d)$/.exec(text.trim()) ?? [];
  const minutes = Number(amount) * (unit === "d" ? 24 * 60 : unit === "h" ? 60 : 1);
  if (minutes >= 1 && minutes <= MAX_MINUTES) return minutes;
  throw new InvalidArgumentError("It is a number and m, h or d, such as 30m, and at most 7d.");
}

function refuseNonRoot(): void {
  if (process.geteuid?.() !== 0) throw usage("the timer is the system's: do that as root");
}

function print(line: string): void {
  process.stdout.write(`${safeLine(line)}\n`);
}

function usage(problem: string, hint = "write: volley pull SOURCE --signers FILE"): VolleyError {
  return new VolleyError("USAGE", problem, { hint });
}
