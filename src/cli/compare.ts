import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { type Command, InvalidArgumentError, type Option } from "commander";
import { volleyVersion } from "../bundle/this-package.ts";
import type { CompareProgress } from "../compare/compare.ts";
import type { CacheState, Comparison } from "../compare/comparison.ts";
import { VolleyError } from "../core/errors.ts";
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
  positiveInteger,
  reachOptions,
  type SecretFlags,
  secretOptions,
  splitList,
  wholeNumber,
} from "./options.ts";
import { writeOutput } from "./output-file.ts";
import { expandLimit } from "./run/runs.ts";
import { cannotWrite, onSignals } from "./terminal.ts";

interface CompareFlags extends InventoryFlags, ConnectionFlags, BecomeFlags, SecretFlags {
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

/** Options that are not handed on to runs as they stand. Passwords are read once, and handed on in the environment. */
const OWN_OPTIONS: ReadonlySet<string> = new Set([
  ...["methods", "also", "runs", "warmUps", "warm", "cold", "both", "rtt", "reset", "resetHosts"],
  ...["json", "csv", "html", "inventory", "limit"],
  ...["askPass", "passwordFile", "passwordFd", "askBecomePass", "becomePasswordFile"],
]);

/** Add `volley compare`. */
export function addCompareCommand(program: Command): void {
  const command = program
    .command("compare <playbook>")
    .summary("time ways to carry out a playbook, and other programs, against each other")
    .description(
      "Carry out a playbook in several ways in turn, on the same hosts from the same state, and compare them: time, processor time, bytes, round trips, time per phase; medians, their spread, and whether a difference is more than chance. All connections go through proxies in this process, which count, and add a delay on request.\n\nThe runs are real: they change the hosts as volley run does.",
    );
  addSecretOptions(addBecomeOptions(addConnectionOptions(addInventoryOptions(command))))
    .option(
      "--methods <names>",
      "bundle, direct, or both with a comma; none: only the commands of --also",
      collect,
    )
    .option(
      "--also <name=command>",
      "time this shell command as well; {inventory} in it, and $VOLLEY_INVENTORY, is an inventory for Ansible that leads through the proxies; ansible=site.yml is short for ansible-playbook; repeatable",
      collect,
    )
    .option("--runs <number>", "runs of each way to count", positiveInteger, 10)
    .option("--warm-ups <number>", "runs of each way before these", wholeNumber, 1)
    .option("--warm", "keep the caches of earlier runs: builds here, bundles on the hosts (default)")
    .option("--cold", "empty these caches before each run")
    .option("--both", "run each way with warm and with cold caches")
    .option("--rtt <times>", "add the time of a round trip, in ms: 0,20,100ms", roundTrips, [0])
    .option("--reset <command>", "run this shell command here before each run")
    .option("--reset-hosts <line>", "run this line in sh on every host, as the login user, before each run")
    .option("-C, --check", "change nothing, show what would change")
    .option(
      "-t, --tags <tags>",
      "run only tasks with one of these tags (comma separated); repeatable",
      collect,
    )
    .option("--skip-tags <tags>", "skip tasks with one of these tags; repeatable", collect)
    .option("--json <file>", "write the measurements as JSON, - to stdout instead of the table")
    .option("--csv <file>", "write a line for each run as CSV, - to stdout instead of the table")
    .option("--html <file>", "write a page")
    .addHelpText(
      "after",
      `
Examples:
  volley compare site.ts -l web --both
  volley compare site.ts --methods bundle --also ansible=site.yml --rtt 0,20,100ms --html compare.html
  volley compare site.ts --methods none --also 'a=./one.sh' --also 'b=./other.sh' --csv -

Ctrl-C ends the current run, and shows the results so far.
Exit codes: 0 compared, 1 usage, a run that failed, or runs that did not do the same, 130 cancelled.
`,
    )
    .action(async (playbook: string, flags: CompareFlags) => {
      process.exitCode = await compare(playbook, flags, childArguments(command, OWN_OPTIONS));
    });
}

/** Parse `0,20,100ms`, in milliseconds. */
export function roundTrips(text: string): readonly number[] {
  const times = text.split(",").map((part) => {
    const [, amount] = /^\s*(\d+(?:\.\d+)?)\s*(?:ms)?\s*$/.exec(part) ?? [];
    if (amount === undefined || Number(amount) > 10_000)
      throw new InvalidArgumentError("It takes milliseconds up to 10000: 0,20,100ms.");
    return Number(amount);
  });
  return [...new Set(times)];
}

/** Write the options that a command was given, except those in `own`, as words for another command that takes the same ones. */
export function childArguments(command: Command, own: ReadonlySet<string>): readonly string[] {
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    if (own.has(name) || command.getOptionValueSource(name) !== "cli") return [];
    return wordsOf(option, command.getOptionValue(name));
  });
}

function wordsOf({ long, negate }: Option, value: unknown): readonly string[] {
  if (long == null || value === undefined) return [];
  if (value === false) return negate ? [long] : [];
  if (value === true) return negate ? [] : [long];
  return (Array.isArray(value) ? value : [value]).map((each) => `${long}=${String(each)}`);
}

const NONE = "none";

async function compare(playbook: string, flags: CompareFlags, handedOn: readonly string[]): Promise<number> {
  const [{ compareRuns }, { parseMethods }] = await Promise.all([
    import("../compare/compare.ts"),
    import("../compare/comparison.ts"),
  ]);
  // Copied before becomeOptions and reachOptions take the passwords out.
  const environment = { ...process.env, VOLLEY_SSH_PASSWORD: undefined, VOLLEY_BECOME_PASSWORD: undefined };
  const names = splitList(flags.methods ?? ["bundle", "direct"]);
  const inventory = inventoryPaths(flags);
  const methods = parseMethods(
    names.filter((name) => name !== NONE),
    flags.also ?? [],
    inventory.filter((path) => !/\.[cm]?[jt]s$/.test(path)),
  );
  requireOutputs(flags);
  const caches = cachesOf(flags);
  if (caches.includes("cold") && flags.warmUps === 0)
    throw new VolleyError("USAGE", "a cold run needs a warm-up before it, which tells what to remove");
  if (flags.askVaultPass === true)
    throw new VolleyError("USAGE", "the runs of a comparison have no terminal to ask at", {
      hint: "give the vault password with --vault-password-file",
    });
  const limit = await expandLimit(flags.limit);
  const reach = await reachOptions(flags);
  const { becomePassword } = await becomeOptions(flags);
  const interruption = new AbortController();
  const release = onSignals(() => {
    interruption.abort();
    // The next signal ends this process.
    release();
  });
  const progress = await createProgressLine(process.stderr);
  try {
    const comparison = await compareRuns({
      playbook,
      inventory,
      limit,
      secrets: secretOptions(flags),
      reach,
      cwd: process.cwd(),
      signal: interruption.signal,
      methods,
      runs: flags.runs,
      warmUps: flags.warmUps,
      caches,
      roundTripsMs: flags.rtt,
      reset: flags.reset,
      resetHosts: flags.resetHosts,
      program: [process.execPath, ...process.execArgv, process.argv[1]!],
      runArguments: [
        ...["run", playbook, "--output=json"],
        ...inventory.map((path) => `--inventory=${path}`),
        ...(limit === undefined ? [] : [`--limit=${limit}`]),
        ...handedOn,
      ],
      environment,
      ownEnvironment: {
        ...(reach.password === undefined ? {} : { VOLLEY_SSH_PASSWORD: reach.password }),
        ...(becomePassword === undefined ? {} : { VOLLEY_BECOME_PASSWORD: becomePassword }),
      },
      onProgress: (told) => progress.show(told),
    });
    progress.clear();
    await writeResults(comparison, flags);
    return comparison.cancelled ? 130 : 0;
  } finally {
    progress.clear();
    release();
  }
}

async function writeResults(comparison: Comparison, { json, csv, html }: CompareFlags): Promise<void> {
  const [{ resultsOf }, { resultRows, toCsv, toPageData }, { paintRow }, symbols, support] =
    await Promise.all([
      import("../compare/results.ts"),
      import("../compare/output.ts"),
      import("../reporter/rows/row.ts"),
      import("../reporter/rows/wording.ts"),
      import("../reporter/reporter.ts"),
    ]);
  const results = resultsOf(comparison);
  const { stdout, env } = process;
  if (json !== undefined) write(json, `${JSON.stringify({ format: 1, ...comparison, results }, null, 2)}\n`);
  if (csv !== undefined) write(csv, toCsv(comparison.samples));
  if (html !== undefined) {
    const { renderComparePage } = await import("../reporter/html/compare-page.ts");
    const version = volleyVersion();
    const data = toPageData(comparison, results, { version });
    write(html, renderComparePage(data, { generator: `volley ${version}` }));
  }
  if ([json, csv, html].includes("-")) return;
  const rows = resultRows(comparison, results, {
    columns: stdout.columns ?? 80,
    symbols: support.unicodeWanted(env) ? symbols.UNICODE_SYMBOLS : symbols.ASCII_SYMBOLS,
  });
  const colors = support.colorsWanted(stdout, env);
  stdout.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
}

function write(path: string, text: string): void {
  writeOutput(path, text, { mode: 0o666 });
}

/** Refuse outputs that cannot be written, before anything is measured. */
function requireOutputs({ json, csv, html }: CompareFlags): void {
  const paths = [json, csv, html].filter((path) => path !== undefined);
  if (paths.filter((path) => path === "-").length > 1)
    throw new VolleyError("USAGE", "only one of --json, --csv and --html can go to stdout");
  for (const path of paths) {
    if (path === "-") continue;
    try {
      accessSync(dirname(path), constants.W_OK);
      if (!existsSync(path)) continue;
      accessSync(path, constants.W_OK);
      if (statSync(path).isDirectory()) throw Object.assign(new Error("a directory"), { code: "EISDIR" });
    } catch (cause) {
      throw cannotWrite(path, cause);
    }
  }
}

function cachesOf({ cold, warm, both }: CompareFlags): readonly CacheState[] {
  if (both === true || (cold === true && warm === true)) return ["cold", "warm"];
  return [cold === true ? "cold" : "warm"];
}

/** Show progress: on a terminal in one line, written over and over; elsewhere in a line for each run that is over. */
async function createProgressLine(stream: NodeJS.WriteStream): Promise<{
  show(progress: CompareProgress): void;
  clear(): void;
}> {
  const [{ conditionLabel }, { formatElapsed }, { truncateText }] = await Promise.all([
    import("../compare/comparison.ts"),
    import("../reporter/rows/amounts.ts"),
    import("../reporter/rows/layout.ts"),
  ]);
  const isTerminal = stream.isTTY === true && process.env.TERM !== "dumb";
  let startedMs: number | undefined;
  let isShown = false;
  return {
    show: ({ done, total, method, condition, round, wallMs }) => {
      startedMs ??= performance.now();
      const which = `${method}, ${round === 0 ? "warm-up" : `${conditionLabel(condition)}, run ${round}`}`;
      if (!isTerminal) {
        if (wallMs !== undefined) stream.write(`${done}/${total} ${which}: ${formatElapsed(wallMs)}\n`);
        return;
      }
      const elapsedMs = performance.now() - startedMs;
      const left = done === 0 ? "" : `, about ${formatElapsed((elapsedMs / done) * (total - done))} left`;
      const text = `${done}/${total}${left}: ${which}`;
      stream.write(`\r\x1b[K${truncateText(text, (stream.columns ?? 80) - 1, "…")}`);
      isShown = true;
    },
    clear: () => {
      if (isShown) stream.write("\r\x1b[K");
      isShown = false;
    },
  };
}
