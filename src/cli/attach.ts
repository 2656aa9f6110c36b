import type { Command } from "commander";
import { VolleyError } from "../core/errors.ts";
import type { ReporterKind } from "../reporter/reporter.ts";
import { addBecomePasswordOptions, type BecomeFlags, becomeOptions } from "./options.ts";
import { outputOption } from "./terminal.ts";

interface AttachFlags extends Pick<BecomeFlags, "askBecomePass" | "becomePasswordFile"> {
  readonly output: ReporterKind;
  readonly timing?: boolean;
}

/** Add `volley attach`. */
export function addAttachCommand(program: Command): void {
  const command = program
    .command("attach [run]")
    .summary("pick up a run whose controller was ended")
    .description(
      "Ask the hosts of a run for what they have done since its controller ended, and go on with the run. Of a run that has ended, show the result. Default: the latest run.",
    );
  addBecomePasswordOptions(command)
    .addOption(outputOption())
    .option("--timing", "show at the end where the time went: phases, and the slowest actions")
    .action(async (name: string | undefined, flags: AttachFlags) => {
      process.exitCode = await attach(name, flags);
    });
}

async function attach(name: string | undefined, flags: AttachFlags): Promise<number> {
  const { output, timing = false } = flags;
  const { isControlled, listPlaybookRuns, readEvents, readRecord, readSummary, runsDirectory } = await import(
    "../controller/records/records.ts"
  );
  const { showEvents, watchRun } = await import("./watch-run.ts");
  const directory = runsDirectory();
  const run = name ?? listPlaybookRuns(directory)[0];
  if (run === undefined) throw new VolleyError("USAGE", "there has been no run yet");
  const record = readRecord(directory, run);
  const view = { output, verbosity: 0, diff: false, timing } as const;
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
  const [{ attachOptions }, { run: start }, { askPassphrase }] = await Promise.all([
    import("../controller/prepare/options.ts"),
    import("../controller/run.ts"),
    import("./ask.ts"),
  ]);
  const password = await becomeOptions(flags);
  const asking = process.stdin.isTTY === true ? { askPassphrase } : {};
  return (await watchRun(start({ ...attachOptions(run), ...asking, ...password }), view)).exitCode;
}
