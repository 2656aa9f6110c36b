import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../controller/run.ts";
import type { Summary } from "../core/events.ts";
import { startEmbeddedFleet } from "../embedded/fleet.ts";
import type { ReporterKind } from "../reporter/reporter.ts";
import { watchRun } from "./watch-run.ts";

/** What `volley demo` was asked for. */
export interface DemoFlags {
  readonly hosts: number;
  readonly output: ReporterKind;
  readonly keep?: boolean;
}

/** Starts an embedded fleet and provisions it twice; 0 when the second run changed and sent nothing. */
export async function demo({ hosts, output, keep }: DemoFlags): Promise<number> {
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
    // A copy of its own: the first run builds, whatever was built before.
    cpSync(demoPlaybook(), join(directory, "playbook"), { recursive: true });
    const inventory = join(directory, "inventory.yaml");
    writeFileSync(inventory, fleet.inventoryYaml());
    const provision = (): Promise<Summary> =>
      watchRun(
        run({
          inventory,
          playbook: join(directory, "playbook", "site.ts"),
          knownHostsFiles: [fleet.knownHostsPath],
          // All hosts are this machine: more at a time would only wait for each other.
          concurrency: Math.max(4, 2 * availableParallelism()),
          // It goes with the fleet: nobody will want to come back to it.
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

/** The demo's playbook: beside this file in a checkout that runs from source, below dist in the package. */
function demoPlaybook(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const found = ["../demo", "../../demo"]
    .map((path) => join(here, path))
    .find((path) => existsSync(join(path, "site.ts")));
  if (found === undefined) throw new Error("the demo's playbook is missing from this installation");
  return found;
}
