import { type Command, Option } from "commander";
import type { ReporterKind } from "../reporter/reporter.ts";
import { positiveInteger } from "./options.ts";

/** Adds `volley demo`. */
export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .summary("provision an embedded fleet, to see what it looks like")
    .description(
      "Starts SSH servers on this machine, each in a directory of its own, provisions them for real, then does it again to show that nothing changes.",
    )
    .option("--hosts <number>", "how many", positiveInteger, 12)
    .addOption(
      new Option("-o, --output <kind>", "how to show it")
        .choices(["auto", "ink", "plain", "json"])
        .default("auto"),
    )
    .option("--keep", "leave the fleet's directories behind")
    .action(
      async (flags: { readonly hosts: number; readonly output: ReporterKind; readonly keep?: boolean }) => {
        const { demo } = await import("./demo.ts");
        process.exitCode = await demo(flags);
      },
    );
}
