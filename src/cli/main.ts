import { setTimeout as pause } from "node:timers/promises";
import { Command, CommanderError } from "commander";
import { volleyVersion } from "../bundle/runtime.ts";
import { describeError, exitCodeFor } from "../core/errors.ts";
import { safeErrorLines } from "../reporter/rows/sanitize.ts";
import { watchEventLoop } from "../system/this-process.ts";
import { addAttachCommand } from "./attach-command.ts";
import { addBundleCommand } from "./bundle-command.ts";
import { addCheckCommand } from "./check-command.ts";
import { addCompareCommand } from "./compare-command.ts";
import { addDemoCommand } from "./demo-command.ts";
import { addDocCommand } from "./doc-command.ts";
import { addExecCommand } from "./exec-command.ts";
import { addGetCommand } from "./get-command.ts";
import { addHostsCommand } from "./hosts-command.ts";
import { addInventoryCommand } from "./inventory-command.ts";
import { addPutCommand } from "./put-command.ts";
import { addReportCommand } from "./report-command.ts";
import { addRunCommand } from "./run-command.ts";
import { addRunsCommand } from "./runs-command.ts";
import { addShellCommand } from "./shell-command.ts";

/** What a command whose event loop ran dry may take to end by itself. */
const STARVED_MS = 1_000;

const program = new Command("volley")
  .description(
    "Provision a fleet over SSH: one TypeScript playbook, one self-contained bundle, many hosts, one screen.",
  )
  .version(volleyVersion())
  .showHelpAfterError("(--help shows what can be given)")
  .exitOverride();

addRunCommand(program);
addRunsCommand(program);
addReportCommand(program);
addExecCommand(program);
addPutCommand(program);
addGetCommand(program);
addShellCommand(program);
addCompareCommand(program);
addAttachCommand(program);
addBundleCommand(program);
addCheckCommand(program);
addInventoryCommand(program);
addHostsCommand(program);
addDocCommand(program);
addDemoCommand(program);

// A reader that leaves, as `head` does, is no error: a run goes on without it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const watch = watchEventLoop("the command");
/** A run that watches itself tells first, and gives the terminal back. */
const starved = watch.starved.catch(async (thrown: unknown) => {
  await pause(STARVED_MS);
  throw thrown;
});
// Not awaited at the top: what is compiled from this is one file that a module cannot be (see launch.ts).
void Promise.race([program.parseAsync().finally(watch.close), starved]).catch((thrown: unknown) => {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : 1;
  else {
    process.stderr.write(`volley: ${safeErrorLines(describeError(thrown)).join("\n")}\n`);
    if (process.env.VOLLEY_DEBUG !== undefined && thrown instanceof Error)
      process.stderr.write(`${thrown.stack}\n`);
    process.exitCode = exitCodeFor(thrown);
  }
});
