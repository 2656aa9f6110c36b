import { basename } from "node:path";
import type { Command } from "commander";
import { volleyVersion } from "../../bundle/this-package.ts";
import type { RunRecord } from "../../controller/records/records.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Outcome, Summary } from "../../core/events.ts";
import { positiveInteger } from "../options.ts";
import { writeOutput } from "../output-file.ts";
import { readRun } from "./named.ts";

// The commands that list runs and write a page about one: `volley runs` and `volley report`.

const OUTCOMES: readonly Outcome[] = ["ok", "failed", "unreachable", "lost", "cancelled"];

/** Add `volley runs`. */
export function addRunsCommand(program: Command): void {
  program
    .command("runs")
    .summary("list recent runs and how they ended")
    .option("-n, --number <count>", "number of runs to list", positiveInteger, 20)
    .action(async ({ number }: { readonly number: number }) => {
      process.stdout.write(await formatRuns(number));
    });
}

/** Format the latest runs, a line each: when, what, on how many hosts, and how they ended. */
async function formatRuns(most: number): Promise<string> {
  const records = await import("../../controller/records/records.ts");
  const directory = records.runsDirectory();
  const runs = records.listRuns(directory).slice(0, most);
  if (runs.length === 0) return "There has been no run yet.\n";
  const { count } = await import("../../reporter/rows/amounts.ts");

  const openState = (record: RunRecord): string =>
    records.isControlled(record)
      ? `going on, process ${record.pid}`
      : `its controller was ended: volley attach ${record.run} asks the hosts how it goes on`;
  const endState = ({ run, outcomes, hosts, tally }: Summary): string => {
    const counts = OUTCOMES.filter((outcome) => outcomes[outcome] > 0).map(
      (outcome) => `${outcomes[outcome]} ${outcome}`,
    );
    // Other fan-outs have no tasks.
    const hasTasks = [undefined, "do"].includes(records.fanOutKindOf(run));
    const tasks = hasTasks ? `; tasks: ${tally.changed} changed, ${tally.failed} failed` : "";
    return `${count(hosts.length, "host")}: ${counts.join(", ")}${tasks}`;
  };
  const rows = runs.map((run) => {
    try {
      const record = records.readRecord(directory, run);
      const summary = records.readSummary(directory, run);
      const { playbook, check } = record.options;
      const started = new Date(record.startedAt).toLocaleString("sv");
      const title = basename(String(playbook ?? "")) + (check === true ? " (check)" : "");
      return [run, started, title, summary === undefined ? openState(record) : endState(summary)];
    } catch {
      return [run, "", "", "its record cannot be read"];
    }
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Add `volley report`. */
export function addReportCommand(program: Command): void {
  program
    .command("report [run]")
    .summary("write a run as one page of HTML")
    .description(
      "Write one page about a run: its result, a timeline of every host, the slowest actions, and every failure with output and differences. The page is complete in itself and loads nothing. Name the run as volley runs lists it, by the beginning of that name, as @last, or by a file of events (-o json). Default: the latest run.",
    )
    .option("-o, --out <file>", "file to write; - is standard output (default: RUN.html here)")
    .action(async (run: string | undefined, { out }: { readonly out?: string }) => {
      await writeReport(run ?? "@last", out);
    });
}

/**
 * Write the page of a run to `out`, by default `<run>.html` in the current directory, and print the file's name. Fails
 * with `USAGE` when there is no such run, or its log is empty.
 */
async function writeReport(name: string, out: string | undefined): Promise<void> {
  const { run, events, goingOn } = await readRun(name);
  if (!events.some(({ type }) => type === "run:start")) {
    throw new VolleyError("USAGE", `nothing is known of run ${run}: its log is empty or gone`, {
      hint: "volley runs lists runs",
    });
  }
  const [{ renderRunPage }, { formatBytes }] = await Promise.all([
    import("../../reporter/html/run-page.ts"),
    import("../../reporter/rows/amounts.ts"),
  ]);
  const page = renderRunPage(events, { goingOn, generator: `volley ${volleyVersion()}` });
  const file = out ?? `${run}.html`;
  // For the owner alone: the page tells of hosts and their contents.
  writeOutput(file, page, { mode: 0o600, hint: "name another file with -o" });
  if (file === "-") return;
  process.stdout.write(`${file} (${formatBytes(Buffer.byteLength(page))})\n`);
}
