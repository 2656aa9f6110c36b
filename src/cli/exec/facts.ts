import type { Command } from "commander";
import type { FactsResult } from "../../connect/apply.ts";
import { writeJson } from "../../core/values/value.ts";
import type { Row } from "../../reporter/rows/row.ts";
import {
  addWorkOptions,
  becomeOptions,
  reachOptions,
  secretOptions,
  takeHosts,
  type WorkFlags,
} from "../options.ts";
import { expandLimit } from "../run/runs.ts";
import { askPassphrase, onSignals, outputOption, printWarning } from "../terminal.ts";

interface FactsFlags extends WorkFlags {
  readonly output: "auto" | "table" | "fold" | "json";
  readonly fold?: boolean;
}

/** Add `volley facts`. */
export function addFactsCommand(program: Command): void {
  const command = program
    .command("facts")
    .summary("show facts of hosts, and which hosts differ in what")
    .description(
      "Gather the facts of every host, as runs do, and show them. A host needs nothing but sshd.\n\n" +
        "Name the hosts first, as with exec. Then facts: ansible_kernel or kernel, a whole dict (default_ipv4), a leaf (default_ipv4.address), or a glob ('*_mb'). Default: all facts.",
    )
    .usage("[options] <hosts> [facts...]")
    .argument("[words...]");
  addWorkOptions(command)
    .addOption(
      outputOption(
        "how to show them: a table, folded by equal values, or JSON, a line for each host (default: a table for named facts or one host, else folded)",
        ["auto", "table", "fold", "json"],
      ),
    )
    .option("-B, --fold", "the same as --output fold: show each value once, with the hosts that have it")
    .addHelpText(
      "after",
      `
Examples:
  volley facts web kernel distribution_version
  volley facts --fold all                     which hosts differ in what
  volley facts -o json web01 | jq .facts.ansible_memtotal_mb

Exit codes: 0 all ok, 1 usage or set-up, 2 some host failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (words: readonly string[], flags: FactsFlags) => {
      const { hosts, rest: names } = takeHosts(words, flags, "volley facts all kernel");
      process.exitCode = await facts(hosts, names, flags);
    });
}

/** Gather and show; returns the exit code. Fails with whatever is wrong before any host is touched. */
async function facts(pattern: string, names: readonly string[], flags: FactsFlags): Promise<number> {
  const { openFleet } = await import("../../connect/connect.ts");
  const cancelled = new AbortController();
  const release = onSignals(() => cancelled.abort());
  try {
    const limit = await expandLimit(flags.limit);
    await using fleet = await openFleet((await expandLimit(pattern)) ?? pattern, {
      ...(await reachOptions(flags)),
      ...(await becomeOptions(flags)),
      ...(flags.inventory === undefined ? {} : { inventory: flags.inventory }),
      ...(limit === undefined ? {} : { limit }),
      ...(flags.connection === undefined ? {} : { connection: flags.connection }),
      forks: flags.forks,
      secrets: secretOptions(flags),
      askPassphrase,
      signal: cancelled.signal,
    });
    for (const warning of fleet.inventory.warnings ?? []) printWarning(warning);
    for (const { host, text } of fleet.notes) process.stderr.write(`${host}: ${text}\n`);
    const results = [...(await fleet.facts({ signal: cancelled.signal })).values()];
    if (cancelled.signal.aborted) return 130;
    await print(results, names, flags);
    return exitCodeOf(results);
  } finally {
    release();
  }
}

function exitCodeOf(results: readonly FactsResult[]): number {
  const failed = results.flatMap(({ error }) => error ?? []);
  if (failed.length === 0) return 0;
  return failed.some(({ code }) => UNREACHED.has(code)) ? 4 : 2;
}

const UNREACHED: ReadonlySet<string> = new Set([
  "CONNECT_FAILED",
  "AUTH_FAILED",
  "HOST_KEY_UNKNOWN",
  "HOST_KEY_CHANGED",
  "CONNECTION_LOST",
]);

async function print(
  results: readonly FactsResult[],
  names: readonly string[],
  { output, fold }: FactsFlags,
): Promise<void> {
  const [printer, { paintRow }, { colorsWanted }, { safeErrorLines }] = await Promise.all([
    import("./facts-printer.ts"),
    import("../../reporter/rows/row.ts"),
    import("../../reporter/reporter.ts"),
    import("../../reporter/rows/sanitize.ts"),
  ]);
  const { stdout, stderr, env } = process;
  const reached = results.filter(({ ok }) => ok);
  const flat = reached.map(({ host, vars }) => ({ host, facts: printer.flattenFacts(vars) }));
  const selected = printer.selectFacts(flat, names);
  if (output === "json") {
    for (const { host, vars, error } of results) {
      const keys = new Set(
        selected.flatMap(({ facts: asked }) => [...asked.keys()].map((path) => path.split(".")[0]!)),
      );
      const asked =
        names.length === 0
          ? vars
          : Object.fromEntries(Object.entries(vars).filter(([name]) => keys.has(name)));
      stdout.write(`${writeJson(error === undefined ? { host, facts: asked } : { host, error })}\n`);
    }
    return;
  }
  const isFolded =
    fold === true || output === "fold" || (output === "auto" && names.length === 0 && flat.length > 1);
  const rows: readonly Row[] =
    selected.length === 0
      ? []
      : isFolded
        ? printer.foldedRows(selected, names.length > 0)
        : printer.tableRows(selected);
  const colors = colorsWanted(stdout, env);
  stdout.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
  for (const { host, error } of results) {
    if (error === undefined) continue;
    const text = error.message.startsWith(host) ? error.message : `${host}: ${error.message}`;
    const hint = error.hint === undefined ? "" : ` (${error.hint})`;
    stderr.write(`${safeErrorLines(`${text}${hint}`).join("\n")}\n`);
  }
}
