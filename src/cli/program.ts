import { setTimeout as pause } from "node:timers/promises";
import { Command, CommanderError } from "commander";
import { volleyVersion } from "../bundle/this-package.ts";
import { describeError, exitCodeFor, isVolleyError } from "../core/errors.ts";
import { safeErrorLines } from "../reporter/rows/sanitize.ts";
import { reportStrays } from "../system/strays.ts";
import { watchEventLoop } from "../system/this-process.ts";
import { addCompareCommand } from "./compare.ts";
import { addCompletionCommand } from "./completion/completion.ts";
import { addDemoCommand } from "./demo.ts";
import { addDoCommand } from "./do/do.ts";
import { addCleanCommand } from "./exec/clean.ts";
import { addExecCommand } from "./exec/exec.ts";
import { addFactsCommand } from "./exec/facts.ts";
import { addImageCommand } from "./image/image.ts";
import { addHostsCommand, addInventoryCommand, addListCommand } from "./inventory.ts";
import { addLintCommand } from "./lint.ts";
import { addPersistCommand } from "./persist/persist.ts";
import { addBundleCommand, addCheckCommand } from "./playbook.ts";
import { addPullCommand } from "./pull.ts";
import { addFleetCommand } from "./queue/fleet.ts";
import { addQueueKeyCommand } from "./queue/key.ts";
import { addWorkerCommand } from "./queue/worker.ts";
import { addDiffCommand } from "./records/diff.ts";
import { addLogCommand } from "./records/log.ts";
import { addReportCommand, addRunsCommand } from "./records/runs.ts";
import { addDocCommand } from "./reference/doc.ts";
import { addRoleCommand } from "./role.ts";
import { addAttachCommand, addRunCommand } from "./run/run.ts";
import { addRuntimeCommand } from "./runtime.ts";
import { addShellCommand } from "./shell.ts";
import { addInitCommand } from "./start/init.ts";
import { addSchemaCommand } from "./start/schema.ts";
import { cannotWrite, tellTemporary, written } from "./terminal.ts";
import { addGetCommand, addPutCommand } from "./transfer/transfer.ts";
import { addVerifyCommand } from "./verify.ts";

/** The commands in the order of the help: the name of each, and the function that adds the command. */
const COMMANDS: Readonly<Record<string, (program: Command) => void>> = {
  init: addInitCommand,
  run: addRunCommand,
  runs: addRunsCommand,
  log: addLogCommand,
  diff: addDiffCommand,
  report: addReportCommand,
  exec: addExecCommand,
  facts: addFactsCommand,
  do: addDoCommand,
  put: addPutCommand,
  get: addGetCommand,
  shell: addShellCommand,
  persist: addPersistCommand,
  compare: addCompareCommand,
  attach: addAttachCommand,
  worker: addWorkerCommand,
  fleet: addFleetCommand,
  "queue-key": addQueueKeyCommand,
  bundle: addBundleCommand,
  verify: addVerifyCommand,
  pull: addPullCommand,
  image: addImageCommand,
  check: addCheckCommand,
  lint: addLintCommand,
  inventory: addInventoryCommand,
  ls: addListCommand,
  hosts: addHostsCommand,
  role: addRoleCommand,
  runtime: addRuntimeCommand,
  clean: addCleanCommand,
  doc: addDocCommand,
  schema: addSchemaCommand,
  completion: addCompletionCommand,
  demo: addDemoCommand,
};

/**
 * Make the command line for these arguments: with the command that they name, or with all commands where they name none.
 * A tenth of the time of a short command would go into the options of the others.
 */
function createProgram([name]: readonly string[]): Command {
  const program = new Command("volley")
    .description(
      "Provision a fleet over SSH: one TypeScript playbook, one self-contained bundle, many hosts, one screen.",
    )
    .version(volleyVersion())
    // `volley exec web node --version` does not ask for Volley's.
    .enablePositionalOptions()
    .showHelpAfterError("(--help shows what can be given)")
    .exitOverride();
  // Every command loads its own modules when it runs, so that `volley doc` does not load ssh2.
  const named = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  for (const add of named === undefined ? Object.values(COMMANDS) : [named]) add(program);
  return program;
}

/** Print an error that ends the command, and return the exit code. */
function report(error: unknown, isFault = false): number {
  const thrown = tellTemporary(error);
  process.stderr.write(`volley: ${safeErrorLines(describeError(thrown)).join("\n")}\n`);
  if ((isFault || process.env.VOLLEY_DEBUG !== undefined) && thrown instanceof Error)
    process.stderr.write(`${thrown.stack}\n`);
  return exitCodeFor(thrown);
}

/** Commander would show the whole help for an unknown command beside `help` or `--help`. */
function parse(program: Command, args: readonly string[]): Promise<unknown> {
  const [first, second] = args;
  const name = first === "help" ? second : first;
  const isKnown =
    name === undefined ||
    name.startsWith("-") ||
    ["help", ...program.commands.map((command) => command.name())].includes(name);
  return program.parseAsync(isKnown ? args : [name], { from: "user" });
}

/** Return the exit code for an error that ended a command, printed to stderr where commander has not done so. */
function end(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 1;
  return report(thrown);
}

/**
 * Carry out a command line in this process, and return its exit code. Unlike {@link main}, the process stays: its working
 * directory, environment and streams are those of the command, and `process.exitCode` is the caller's to restore.
 */
export async function carryOut(args: readonly string[]): Promise<number> {
  process.exitCode = undefined;
  try {
    await parse(createProgram(args), args);
  } catch (thrown) {
    return end(thrown);
  }
  return Number(process.exitCode ?? 0);
}

/** Commands that may have changed hosts: these go on without output, and their exit code tells of the hosts. */
const WITHOUT_OUTPUT = new Set(["run", "do", "pull", "attach", "demo"]);
/** Time limit of a command to end by itself once the event loop ran dry. */
const STARVED_MS = 1_000;
/** Time for what a command has left behind to end by itself. */
const LEFT_MS = 1_000;

/** Carry out the command line of this process, and end the process with the command's exit code. */
export function main(): void {
  const args = process.argv.slice(2);
  const program = createProgram(args);
  let goesOn = false;
  program.hook("preAction", (_program, command) => {
    goesOn = WITHOUT_OUTPUT.has(command.name());
  });
  let isTold = false;
  // When the reader of stdout ends, as `head` does, a command continues without it.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    const failure = cannotWrite("to standard output", error);
    if (!goesOn) throw failure;
    if (!isTold) report(failure);
    isTold = true;
  });
  // Node writes to a file at once, and throws the error at whoever writes.
  const writeOut = process.stdout._write.bind(process.stdout);
  process.stdout._write = (chunk, encoding, done) => {
    try {
      writeOut(chunk, encoding, done);
    } catch (thrown) {
      done(thrown as Error);
    }
  };
  // An error of unknown origin is a fault in Volley: its stack is for the bug report.
  reportStrays((thrown) => report(thrown, !isVolleyError(thrown)));

  let isOver = false;
  // Code of the playbook's that calls process.exit() must not look like a run that went well.
  process.on("exit", (code) => {
    if (isOver || code !== 0) return;
    process.stderr.write(
      "volley: process.exit() was called before the command had ended; only the playbook's code does that\n",
    );
    process.exitCode = 1;
  });

  const watch = watchEventLoop("the command");
  // A run watches itself, and gives the terminal back before it reports: let it go first.
  const starved = watch.starved.catch(async (thrown: unknown) => {
    await pause(STARVED_MS);
    throw thrown;
  });
  void Promise.race([parse(program, args).finally(watch.close), starved])
    .catch((thrown: unknown) => {
      process.exitCode = end(thrown);
    })
    .finally(() => {
      isOver = true;
      // Node would take the heap apart first, which takes a tenth of the time of a short command.
      process.on("exit", () => process.exit());
      // A timer of a playbook's code, which is executed here to learn what it declares, would keep the process for ever.
      setTimeout(() => {
        // A slow reader gets all the same what was written for it.
        void Promise.all([process.stdout, process.stderr].map(written)).then(() => process.exit());
      }, LEFT_MS).unref();
    });
}
