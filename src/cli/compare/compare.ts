import { accessSync, constants, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import { volleyVersion } from "../../bundle/runtime.ts";
import { compareRuns } from "../../compare/compare.ts";
import type { CacheState, Comparison } from "../../compare/comparison.ts";
import { toCsv } from "../../compare/csv.ts";
import { parseMethods } from "../../compare/methods.ts";
import { resultsOf } from "../../compare/results.ts";
import { VolleyError } from "../../core/errors.ts";
import { colorsWanted, unicodeWanted } from "../../reporter/output.ts";
import { paintRow } from "../../reporter/rows/row.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../reporter/rows/wording.ts";
import { becomeOptions } from "../become-options.ts";
import { cannotWrite } from "../cannot-write.ts";
import type { CompareFlags } from "../compare-command.ts";
import { inventoryPaths, splitList } from "../options.ts";
import { expandLimit } from "../past-runs.ts";
import { reachOptions } from "../reach-options.ts";
import { secretOptions } from "../secret-options.ts";
import { childArguments } from "./child-arguments.ts";
import { createProgressLine } from "./progress.ts";
import { resultRows } from "./table.ts";

/** Options that runs are not given as they stand: passwords are read once, and handed on in the environment. */
const OWN_OPTIONS: ReadonlySet<string> = new Set([
  ...["methods", "also", "runs", "warmUps", "warm", "cold", "both", "rtt", "reset", "resetHosts"],
  ...["json", "csv", "html", "inventory", "limit"],
  ...["askPass", "passwordFile", "passwordFd", "askBecomePass", "becomePasswordFile"],
]);

const DEFAULT_COLUMNS = 80;
const DEFAULT_METHODS = ["bundle", "direct"];
const NONE = "none";

/** Carries `volley compare` out and gives its exit code. */
export async function compare(playbook: string, flags: CompareFlags, command: Command): Promise<number> {
  // Before the passwords are taken out of it.
  const environment = { ...process.env, VOLLEY_SSH_PASSWORD: undefined, VOLLEY_BECOME_PASSWORD: undefined };
  const names = splitList(flags.methods ?? DEFAULT_METHODS);
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
  const interruption = onInterruption();
  const progress = createProgressLine(process.stderr);
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
        ...childArguments(command, OWN_OPTIONS),
      ],
      environment,
      ownEnvironment: {
        ...(reach.password === undefined ? {} : { VOLLEY_SSH_PASSWORD: reach.password }),
        ...(becomePassword === undefined ? {} : { VOLLEY_BECOME_PASSWORD: becomePassword }),
      },
      onProgress: (told) => progress.take(told),
    });
    progress.end();
    await tell(comparison, flags);
    return comparison.cancelled ? 130 : 0;
  } finally {
    progress.end();
    interruption.release();
  }
}

async function tell(comparison: Comparison, { json, csv, html }: CompareFlags): Promise<void> {
  const results = resultsOf(comparison);
  const { stdout, env } = process;
  if (json !== undefined) write(json, `${JSON.stringify({ format: 1, ...comparison, results }, null, 2)}\n`);
  if (csv !== undefined) write(csv, toCsv(comparison.samples));
  if (html !== undefined) {
    const [{ toPageData }, { renderComparePage }] = await Promise.all([
      import("../../compare/page-data.ts"),
      import("../../reporter/html/compare-page.ts"),
    ]);
    const version = volleyVersion();
    const data = toPageData(comparison, results, { version });
    write(html, renderComparePage(data, { generator: `volley ${version}` }));
  }
  if ([json, csv, html].includes("-")) return;
  const rows = resultRows(comparison, results, {
    columns: stdout.columns ?? DEFAULT_COLUMNS,
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
  });
  const colors = colorsWanted(stdout, env);
  stdout.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
}

function write(path: string, text: string): void {
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(path, text);
  } catch (cause) {
    throw cannotWrite(path, cause);
  }
}

/** Before anything is measured that could then not be written. */
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

interface Interruption {
  readonly signal: AbortSignal;
  release(): void;
}

/** Ctrl-C ends the run under way and what is left; once more, this process. */
function onInterruption(): Interruption {
  const controller = new AbortController();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const release = (): void => {
    for (const signal of signals) process.off(signal, onSignal);
  };
  const onSignal = (): void => {
    controller.abort();
    // The next one does what it does by itself.
    release();
  };
  for (const signal of signals) process.on(signal, onSignal);
  return { signal: controller.signal, release };
}
