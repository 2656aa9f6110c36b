import { existsSync } from "node:fs";
import { basename, dirname, extname, resolve } from "node:path";
import { text as readText } from "node:stream/consumers";
import type { Command } from "commander";
import { volleyVersion } from "../../bundle/own-parts.ts";
import type { RunRecord } from "../../controller/records/records.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Event, Outcome, Summary } from "../../core/events.ts";
import { positiveInteger } from "../options.ts";
import { writeOutput } from "../output-file.ts";

// The commands about earlier runs, `volley runs` and `volley report`, and limits that name a run.

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
    // A fan-out has no tasks.
    const isPlaybook = records.fanOutKindOf(run) === undefined;
    const tasks = isPlaybook ? `; tasks: ${tally.changed} changed, ${tally.failed} failed` : "";
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

/** Return the latest run of a playbook that was not a check. Fails with `USAGE` when there is none. */
export async function latestRunOf(playbook: string): Promise<string> {
  const { listPlaybookRuns, readRecord, runsDirectory } = await import("../../controller/records/records.ts");
  const directory = runsDirectory();
  const run = listPlaybookRuns(directory).find((name) => {
    try {
      const { options } = readRecord(directory, name);
      const file = resolve(String(options.cwd ?? ""), String(options.playbook ?? ""));
      return file === resolve(playbook) && options.check !== true;
    } catch {
      // A run whose record cannot be read cannot be resumed.
      return false;
    }
  });
  if (run === undefined) {
    throw new VolleyError("USAGE", `there has been no run of ${playbook} yet: nothing can be resumed`, {
      hint: "volley runs lists those of other playbooks",
    });
  }
  return run;
}

/** Return the name of a run to resume, if one is given. Fails with `USAGE` when there is no such run: all would be done anew. */
export async function recordedRun(name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const { readRecord, runsDirectory } = await import("../../controller/records/records.ts");
  return readRecord(runsDirectory(), name).run;
}

/**
 * Resolve `@last`, a run's name (with or without an @ before it), or the beginning of a name. Fails with `USAGE` when no
 * run matches, or several do.
 */
async function namedRun(name: string): Promise<string> {
  const { listPlaybookRuns, listRuns, runsDirectory } = await import("../../controller/records/records.ts");
  const runs = listRuns(runsDirectory());
  const last = listPlaybookRuns(runsDirectory())[0];
  if (runs.length === 0 || (name === "@last" && last === undefined))
    throw new VolleyError("USAGE", "there has been no run yet");
  if (name === "@last") return last!;
  const wanted = name.startsWith("@") ? name.slice(1) : name;
  const found = runs.includes(wanted)
    ? [wanted]
    : runs.filter((run) => wanted !== "" && run.startsWith(wanted));
  if (found.length === 1) return found[0]!;
  throw new VolleyError(
    "USAGE",
    found.length === 0
      ? `there is no run ${name} here`
      : `${name} may be ${found.slice(0, 3).join(", ")}${found.length > 3 ? ", …" : ""}`,
    { hint: "volley runs lists them" },
  );
}

/**
 * Replace `@failed`, `@changed` and `@RUN` in a pattern by their hosts, and `-` by the names on stdin. `@FILE`, and
 * everything else, is left to the inventory.
 */
export async function expandLimit<Limit extends string | undefined>(limit: Limit): Promise<Limit | string> {
  if (limit === "-") return patternFromStdin();
  if (limit === undefined || !limit.includes("@")) return limit;
  const { hostsOfRuns, runsDirectory } = await import("../../controller/records/records.ts");
  const parts = limit.split(/([:,]&?!?)/).map((part) => {
    if (!part.startsWith("@") || existsSync(part.slice(1))) return part;
    const hosts = hostsOfRuns(runsDirectory(), part.slice(1));
    if (hosts.length === 0)
      throw new VolleyError("PATTERN_UNKNOWN", `${part} stands for no host: there is none to run on`);
    return hosts.join(",");
  });
  return parts.join("");
}

/** Stdin can be read once; several patterns may ask for its names. */
let namesOfStdin: Promise<string> | undefined;

/** Join the names on stdin to a pattern; `#` begins a comment. Fails with `USAGE` when there is no name. */
async function patternFromStdin(): Promise<string> {
  namesOfStdin ??= readText(process.stdin);
  const names = (await namesOfStdin)
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "");
  if (names.length === 0) throw new VolleyError("USAGE", "there is no host name on stdin");
  return names.join(",");
}

const LOG_EXTENSION = ".ndjson";

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

async function readRun(name: string): Promise<{
  readonly run: string;
  readonly events: readonly Event[];
  readonly goingOn: boolean;
}> {
  const { isControlled, readEvents, readRecord, runsDirectory } = await import(
    "../../controller/records/records.ts"
  );
  if (existsSync(name) && extname(name) === LOG_EXTENSION) {
    const run = basename(name, LOG_EXTENSION);
    return { run, events: readEvents(dirname(name), run), goingOn: false };
  }
  const directory = runsDirectory();
  const run = await namedRun(name);
  const events = readEvents(directory, run);
  return { run, events, goingOn: isControlled(readRecord(directory, run)) };
}
