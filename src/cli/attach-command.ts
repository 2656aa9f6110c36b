import { type Command, Option } from "commander";
import { VolleyError } from "../core/errors.ts";
import type { ReporterKind } from "../reporter/reporter.ts";

/** Adds `volley attach`. */
export function addAttachCommand(program: Command): void {
  program
    .command("attach [run]")
    .summary("pick up a run whose controller was ended")
    .description(
      "Asks the hosts of a run for what they have done since, and goes on with it; of a run that has ended, shows how. Without a name: the latest run.",
    )
    .addOption(
      new Option("-o, --output <kind>", "how to show it")
        .choices(["auto", "ink", "plain", "json"])
        .default("auto"),
    )
    .action(async (name: string | undefined, { output }: { readonly output: ReporterKind }) => {
      process.exitCode = await attach(name, output);
    });
}

async function attach(name: string | undefined, output: ReporterKind): Promise<number> {
  const { isControlled, listRuns, readEvents, readRecord, readSummary, runsDirectory } = await import(
    "../controller/run-records.ts"
  );
  const { showEvents, watchRun } = await import("./watch-run.ts");
  const directory = runsDirectory();
  const run = name ?? listRuns(directory)[0];
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet");
  const record = readRecord(directory, run);
  const view = { output, verbosity: 0, diff: false } as const;
  const summary = readSummary(directory, run);
  if (summary !== undefined) {
    await showEvents(readEvents(directory, run), summary, view);
    return summary.exitCode;
  }
  if (isControlled(record)) {
    throw new VolleyError("USAGE", `run ${run} has a controller: process ${record.pid} works on it`, {
      hint: "end that process first if it hangs",
    });
  }
  const { attachOptions, run: start } = await import("../controller/run.ts");
  const { askPassphrase } = await import("./ask.ts");
  const asking = process.stdin.isTTY === true ? { askPassphrase } : {};
  return (await watchRun(start({ ...attachOptions(run), ...asking }), view)).exitCode;
}
