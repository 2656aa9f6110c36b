import { type Command, Option } from "commander";
import { positiveInteger } from "../options.ts";
import { withRoot } from "./install.ts";

interface ResultFlags {
  readonly partition?: number;
  readonly output: "plain" | "json";
  readonly verbose?: boolean;
}

/** Add `volley image result`. */
export function addResultCommand(image: Command): void {
  image
    .command("result <root>")
    .summary("show how the first boot of an image ended")
    .description(
      "Read the result of a machine's first boot from its mounted root or its disk image, which is mounted read-only. Exit code 0 when the machine is provisioned, 2 when it is not, 1 when it has not been booted yet.",
    )
    .option(
      "--partition <number>",
      "partition of a disk image (default: the one with a root)",
      positiveInteger,
    )
    .addOption(
      new Option("-o, --output <kind>", "how to show it: plain lines, or every event as JSON")
        .choices(["plain", "json"])
        .default("plain"),
    )
    .option("-v, --verbose", "show tasks that changed nothing, too, and what tasks printed")
    .action(async (path: string, { partition, output, verbose = false }: ResultFlags) => {
      const [{ readResult }, { createReporter }] = await Promise.all([
        import("../../image/result.ts"),
        import("../../reporter/kinds.ts"),
      ]);
      const choice = { ...(partition === undefined ? {} : { partition }), readOnly: true };
      const { host, attempt, bundle, events, summary } = await withRoot(path, choice, (root) =>
        readResult(root, path),
      );
      const { stdout, env } = process;
      const reporter = await createReporter(output, {
        ...{ stdout, env, verbosity: verbose ? 2 : 0, diff: false },
        onCancel: () => {},
      });
      for (const event of events) reporter.event(event);
      await reporter.end(summary);
      if (output === "plain") {
        const { safeLine } = await import("../../reporter/rows/sanitize.ts");
        const end = bundle === undefined ? "is not provisioned" : `is provisioned, by the bundle ${bundle}`;
        stdout.write(`${safeLine(`${host} ${end} (attempt ${attempt} of its last boot)`)}\n`);
      }
      process.exitCode = summary.exitCode;
    });
}
