import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import type { Summary } from "../core/events.ts";
import type { ReporterKind } from "../reporter/kinds.ts";
import { positiveInteger } from "./options.ts";
import { watchRun } from "./run/run.ts";
import { outputOption } from "./terminal.ts";

interface DemoFlags {
  readonly hosts: number;
  readonly output: ReporterKind;
  readonly keep?: boolean;
}

/** Add `volley demo`. */
export function addDemoCommand(program: Command): void {
  program
    .command("demo")
    .summary("provision an embedded fleet, to see what it looks like")
    .description(
      "Start SSH servers on this machine, each in a directory of its own, provision them for real, then do so again to show that nothing changes.",
    )
    .option("--hosts <number>", "number of hosts", positiveInteger, 12)
    .addOption(outputOption())
    .option("--keep", "leave the fleet's directories behind")
    .action(async (flags: DemoFlags) => {
      process.exitCode = await demo(flags);
    });
}

/** Start an embedded fleet and provision it twice. Returns 0 when the second run changed and sent nothing. */
async function demo({ hosts, output, keep }: DemoFlags): Promise<number> {
  const [{ startEmbeddedFleet }, { run }] = await Promise.all([
    import("../embedded/fleet.ts"),
    import("../controller/run.ts"),
  ]);
  const directory = mkdtempSync(join(tmpdir(), "volley-demo-"));
  const tell = (text: string): void => {
    if (output !== "json") process.stdout.write(`${text}\n`);
  };
  const fleet = await startEmbeddedFleet({
    count: hosts,
    root: join(directory, "fleet"),
    keepRoot: keep === true,
  });
  try {
    // A copy of its own, so that the first run builds.
    cpSync(demoPlaybook(), join(directory, "playbook"), { recursive: true });
    const inventory = join(directory, "inventory.yaml");
    writeFileSync(inventory, fleet.inventoryYaml());
    const provision = (): Promise<Summary> =>
      watchRun(
        run({
          inventory,
          playbook: join(directory, "playbook", "site.ts"),
          knownHostsFiles: [fleet.knownHostsPath],
          // All hosts share this machine's processors: more at a time would only wait for each other.
          concurrency: Math.max(4, 2 * availableParallelism()),
          // The fleet is gone afterwards, and so is any use of the runs' records.
          logDirectory: join(directory, "runs"),
        }),
        { output, verbosity: 0, diff: false },
      );
    tell(
      `${hosts} SSH servers are running on this machine, each in a directory of its own. Provisioning them:\n`,
    );
    const first = await provision();
    if (first.exitCode !== 0) return first.exitCode;
    tell("\nOnce more: nothing should change, and nothing be sent.\n");
    const second = await provision();
    if (second.exitCode !== 0) return second.exitCode;
    const sent = second.hosts.reduce((sum, { uploadedBytes }) => sum + uploadedBytes, 0);
    tell(`\n${second.tally.changed} changed and ${sent} bytes of bundle sent the second time.`);
    tell("Next: put your hosts into inventory/, see what Volley understands with `volley inventory list`,");
    tell("look at roles/ for how a role is written, then `volley run site.ts --check --diff`.");
    if (keep === true) tell(`The fleet's directories are below ${fleet.root}.`);
    return second.tally.changed === 0 && sent === 0 ? 0 : 2;
  } finally {
    await fleet.stop();
    if (keep !== true) rmSync(directory, { recursive: true, force: true });
  }
}

/** Find the demo's playbook: beside this folder in a checkout that runs from source, below dist in the package. */
function demoPlaybook(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const found = ["../demo", "../../demo"]
    .map((path) => join(here, path))
    .find((path) => existsSync(join(path, "site.ts")));
  if (found === undefined) throw new Error("the demo's playbook is missing from this installation");
  return found;
}
