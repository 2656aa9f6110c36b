import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { commandLine, loginShellLine } from "../../core/unix/shell.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import type { FanOutListener } from "../../fanout/exec/fan-out.ts";
import type { RemoteCommand } from "../../fanout/exec/remote-command.ts";
import type { FanOutTarget } from "../fan-out.ts";
import { addWorkOptions, collect, seconds, type WorkFlags } from "../options.ts";
import { onSignals, outputOption, shownAs } from "../terminal.ts";
import type { ExecPrinter } from "./printer.ts";
import { type ExecWords, splitWords } from "./words.ts";

interface ExecFlags extends WorkFlags {
  readonly script?: string;
  readonly stdin?: string;
  readonly env?: readonly string[];
  readonly timeout?: number;
  readonly pty?: boolean;
  readonly output: "auto" | "ink" | "plain" | "fold" | "json";
  readonly fold?: boolean;
  readonly diff?: boolean;
  readonly outDir?: string;
}

/** Add `volley exec`. */
export function addExecCommand(program: Command): void {
  const command = program
    .command("exec")
    .summary("run a command on many hosts at a time")
    .description(
      "Run a command or a script on every host. A host needs nothing but sshd.\n\n" +
        "Name the hosts first: a pattern, host names, web[01-17,19], or - for names on stdin; or name them with -w. Then the command: a program and its arguments, which arrive as they are, or one quoted line for sh. Options come before the command; from its first word on, everything is the command's.",
    )
    .usage(
      "[options] <hosts> <program> [arguments...]\n       volley exec [options] <hosts> '<line>'\n       volley exec [options] --script <file> <hosts> [arguments...]",
    )
    .argument("[words...]")
    .passThroughOptions()
    .helpOption("--help", "show this help")
    .showHelpAfterError("(options come before the command; --help shows what can be given)");
  addWorkOptions(command)
    .option("--script <file>", "run this local script, with the interpreter its first line names, else sh")
    .option("--stdin <file>", "pass this file to every command on its stdin; -: pass volley's own stdin")
    .option("--env <NAME=VALUE>", "set this environment variable of the command; repeatable", collect)
    .option("--timeout <seconds>", "end a command that takes longer", seconds)
    .option("--pty", "run it on a terminal, which merges stderr into stdout")
    .addOption(
      outputOption(
        "how to show it: a screen of hosts, lines as they come, folded at the end, or JSON (default: lines)",
        ["auto", "ink", "plain", "fold", "json"],
      ),
    )
    .option("-B, --fold", "the same as --output fold: show hosts with the same output together, at the end")
    .option("-D, --diff", "fold, and show other outputs as a diff from the most frequent one")
    .option("--out-dir <dir>", "also write each host's output there, and exit-status.tsv")
    .addHelpText(
      "after",
      `
Examples:
  volley exec web uname -r
  volley exec web 'df -h / | tail -1'
  volley exec -B -w 'web[01-17,19]' cat /etc/hostname
  volley exec -b --script check.sh 'web:&prod' --verbose
  list-hosts | volley exec - uptime

Ctrl-C ends the running commands, with TERM first and KILL 5 seconds later; once more leaves at once.
Exit codes: 0 all ok, 1 usage or set-up (nothing was run), 2 some host failed, 4 some host unreachable or lost, 130 cancelled.
`,
    )
    .action(async (operands: readonly string[]) => {
      // Commander leaves `--` out of the operands; its raw arguments hold it.
      const { rawArgs } = program as Command & { readonly rawArgs: readonly string[] };
      const words = splitWords(command, operands, rawArgs);
      process.exitCode = await exec(words, command.opts());
    });
}

/** Run the command; returns the exit code. Fails with whatever is wrong before any host is touched. */
async function exec(words: ExecWords, flags: ExecFlags): Promise<number> {
  const [{ keepInput, openInputFile, startCommand }, { planFanOut }] = await Promise.all([
    import("../../fanout/exec/remote-command.ts"),
    import("../fan-out.ts"),
  ]);
  checkFlags(words, flags);
  const command = await readCommand(words, flags);
  const env = readEnvironment(flags.env ?? []);
  if (flags.pty === true) {
    // With a terminal the whole script is one argument of the login shell, which needs more characters to quote it.
    const { script } = startCommand(command, { env, stdinBytes: undefined, pty: true });
    checkLength(loginShellLine(script), "leave --pty out, or put it in a file on the hosts first");
  }
  const { open } = await planFanOut(words.hosts, flags);
  const interruption = onInterruption();
  const closers: (() => unknown)[] = [];
  let failed: readonly string[] = [];
  let wantsShell = false;
  let exitCode: number;
  try {
    const { targets, close } = await open(interruption.clean.signal);
    closers.push(close);
    const [{ exitCodeOf, fanOut, outcomeOf }, { openOutDirectory }] = await Promise.all([
      import("../../fanout/exec/fan-out.ts"),
      import("../../fanout/exec/outputs.ts"),
    ]);
    const { stdin, outDir, timeout, pty } = flags;
    const input =
      stdin === undefined
        ? undefined
        : await (stdin === "-" ? keepInput(process.stdin) : openInputFile(stdin));
    closers.push(() => input?.close());
    const outDirectory = outDir === undefined ? undefined : await openOutDirectory(outDir);
    closers.push(() => outDirectory?.close());
    const printer = await createPrinter(targets, flags, {
      title:
        words.line ?? commandLine([...(flags.script === undefined ? [] : [flags.script]), ...words.words]),
      onCancel: interruption.cancel,
    });
    closers.push(() => printer.close());
    const [begunAt, startedAt] = [Date.now(), performance.now()];
    const results = await fanOut(targets, {
      command,
      env,
      ...(input === undefined ? {} : { input }),
      ...(pty === true
        ? { pty: { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 } }
        : {}),
      forks: flags.forks,
      ...(timeout === undefined ? {} : { timeoutMs: timeout * 1_000 }),
      listener: both(outDirectory, printer),
      cancel: interruption.clean.signal,
      kill: interruption.now.signal,
    });
    const { recordFanOut } = await import("../../controller/records/records.ts");
    recordFanOut({
      kind: "exec",
      title: programOf(words, flags),
      startedAt: begunAt,
      concurrency: flags.forks,
      ends: results.map(({ outcome, ...result }) => ({ ...result, outcome: outcomeOf(outcome) })),
    });
    failed = results.filter(({ outcome }) => outcome !== "ok").map(({ host }) => host);
    wantsShell = (await printer.end(results, performance.now() - startedAt)) === "shell";
    exitCode = interruption.clean.signal.aborted ? 130 : exitCodeOf(results);
  } finally {
    interruption.release();
    for (const close of closers.reverse()) await close();
  }
  if (wantsShell) {
    const { shell } = await import("../shell.ts");
    const { limit: _limit, hosts: _hosts, ...rest } = flags;
    await shell(failed.join(","), rest);
  }
  return exitCode;
}

function checkFlags({ hosts, words }: ExecWords, { pty, script, stdin, limit }: ExecFlags): void {
  if (stdin === "-" && [hosts, limit].includes("-"))
    throw new VolleyError("USAGE", "stdin holds either the hosts' names or what the commands get, not both");
  if (pty === true && (script !== undefined || stdin !== undefined))
    throw new VolleyError(
      "USAGE",
      `--pty goes with neither --script nor --stdin: a terminal is no place for bytes`,
    );
  if (words.some((word) => word.includes("\0")))
    throw new VolleyError("USAGE", "a word of the command holds a NUL");
}

/** The longest argument that Linux takes is 128 KiB. */
const MAX_COMMAND_BYTES = 100 * 1024;

function checkLength(text: string, hint: string): void {
  if (Buffer.byteLength(text) > MAX_COMMAND_BYTES)
    throw new VolleyError("USAGE", "the command is too long for a command line", { hint });
}

async function readCommand({ line, words }: ExecWords, { script }: ExecFlags): Promise<RemoteCommand> {
  checkLength([line ?? "", ...words].join(" "), "put it in a file: --script FILE");
  if (script === undefined)
    return line === undefined ? { kind: "words", words } : { kind: "line", text: line };
  try {
    return { kind: "script", bytes: await readFile(script), words };
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot read the script ${script}: ${fileReason(cause)}`, { cause });
  }
}

function readEnvironment(assignments: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const [, name, value] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(assignment) ?? [];
      if (name === undefined) throw new VolleyError("USAGE", `--env takes NAME=VALUE, not "${assignment}"`);
      return [name, value!];
    }),
  );
}

/** Return the command's program, for the record. Its arguments are left out: they may hold secrets. */
function programOf({ line, words }: ExecWords, { script }: ExecFlags): string {
  const program = basename(script ?? words[0] ?? /^\s*(\S+)/.exec(line ?? "")?.[1] ?? "");
  return /^[\w.+-]+$/.test(program) ? program : "sh";
}

/** Make the printer that the flags and the terminal ask for. */
async function createPrinter(
  targets: readonly FanOutTarget[],
  { fold, diff = false, output }: ExecFlags,
  { title, onCancel }: { readonly title: string; onCancel(): void },
): Promise<ExecPrinter> {
  const [{ createPacedWriter }, { ASCII_SYMBOLS, UNICODE_SYMBOLS }, { colorsWanted, unicodeWanted }] =
    await Promise.all([
      import("./printer.ts"),
      import("../../reporter/rows/wording.ts"),
      import("../../reporter/reporter.ts"),
    ]);
  const { stdout, stderr, env } = process;
  if (output === "json")
    return (await import("./line-printers.ts")).createJsonPrinter(createPacedWriter(stdout));
  const streamOf = (stream: NodeJS.WriteStream) => ({
    writer: createPacedWriter(stream),
    colors: colorsWanted(stream, env),
    columns: stream.isTTY === true ? stream.columns : undefined,
  });
  const options = {
    stdout: streamOf(stdout),
    stderr: streamOf(stderr),
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    hosts: targets.map(({ name }) => name),
  };
  if (fold === true || diff || output === "fold")
    return (await import("./fold-printer.ts")).createFoldPrinter({ ...options, diff });
  if (shownAs(output) === "ink") {
    const endpoints = new Map(targets.map(({ name, endpoint }) => [name, endpoint]));
    const { createInkPrinter } = await import("./ink-printer.ts");
    return createInkPrinter({ ...options, title, endpoints, onCancel });
  }
  return (await import("./line-printers.ts")).createLivePrinter(options);
}

/** Write each output to disk before showing it, so that a reader who goes away loses nothing there. */
function both(
  outDirectory: { readonly listener: FanOutListener } | undefined,
  { listener: shown }: ExecPrinter,
): FanOutListener {
  if (outDirectory === undefined) return shown;
  const { listener: written } = outDirectory;
  return {
    start: (host) => shown.start?.(host),
    output: async (host, stream, chunk) => {
      await written.output(host, stream, chunk);
      await shown.output(host, stream, chunk);
    },
    end: async (result) => {
      await written.end(result);
      await shown.end(result);
    },
  };
}

/**
 * Listen for interruptions: the first Ctrl-C ends the commands, the second ends the waiting. The end of stdout's reader
 * counts as one.
 */
function onInterruption() {
  const [clean, now] = [new AbortController(), new AbortController()];
  const releaseSignals = onSignals(() => {
    if (clean.signal.aborted) return now.abort();
    clean.abort();
    process.stderr.write("\nending the commands; Ctrl-C once more leaves at once\n");
  });
  const onGone = (): void => clean.abort();
  process.stdout.once("error", onGone);
  return {
    clean,
    now,
    /** For Ctrl-C as a key, on a terminal in raw mode. */
    cancel: () => (clean.signal.aborted ? now : clean).abort(),
    release: () => {
      releaseSignals();
      process.stdout.off("error", onGone);
    },
  };
}
