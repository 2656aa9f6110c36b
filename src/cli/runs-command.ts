import type { Command } from "commander";
import { positiveInteger } from "./options.ts";

/** Adds `volley runs`. */
export function addRunsCommand(program: Command): void {
  program
    .command("runs")
    .summary("list the runs of late, and how they ended")
    .option("-n, --number <count>", "how many", positiveInteger, 20)
    .action(async ({ number }: { readonly number: number }) => {
      const { formatRuns } = await import("./runs.ts");
      process.stdout.write(formatRuns(number));
    });
}
