import { existsSync, writeFileSync } from "node:fs";
import { basename, dirname, extname } from "node:path";
import type { Command } from "commander";
import { volleyVersion } from "../bundle/runtime.ts";
import { VolleyError } from "../core/errors.ts";
import type { Event } from "../core/events.ts";
import { namedRun } from "./runs.ts";
import { cannotWrite } from "./terminal.ts";

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
    import("../reporter/html/run-page.ts"),
    import("../reporter/rows/amounts.ts"),
  ]);
  const page = renderRunPage(events, { goingOn, generator: `volley ${volleyVersion()}` });
  if (out === "-") {
    process.stdout.write(page);
    return;
  }
  const file = out ?? `${run}.html`;
  try {
    // For the owner alone: the page tells of hosts and their contents.
    writeFileSync(file, page, { mode: 0o600 });
  } catch (thrown) {
    throw cannotWrite(file, thrown, "name another file with -o");
  }
  process.stdout.write(`${file} (${formatBytes(Buffer.byteLength(page))})\n`);
}

async function readRun(name: string): Promise<{
  readonly run: string;
  readonly events: readonly Event[];
  readonly goingOn: boolean;
}> {
  const { isControlled, readEvents, readRecord, runsDirectory } = await import(
    "../controller/records/records.ts"
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
