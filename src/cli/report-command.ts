import type { Command } from "commander";

/** Adds `volley report`. */
export function addReportCommand(program: Command): void {
  program
    .command("report [run]")
    .summary("write a run as one page of HTML")
    .description(
      "Writes one page about a run: what it came to, what each host was at when, the slowest actions, and what failed, with output and differences. The page is complete in itself and loads nothing. A run is named as volley runs lists it, by the beginning of that name, as @last, or by a file of events (-o json). Without a name: the latest run.",
    )
    .option("-o, --out <file>", "where to write it; - is standard output (default: RUN.html here)")
    .action(async (run: string | undefined, { out }: { readonly out?: string }) => {
      const { writeReport } = await import("./report.ts");
      await writeReport(run ?? "@last", out);
    });
}
