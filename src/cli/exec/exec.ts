import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { openTransports } from "../../controller/prepare/transports.ts";
import { fileReason, VolleyError } from "../../core/errors.ts";

import { loginShellLine } from "../../core/shell-quote.ts";
import { exitCodeOf, type FanOutHost, outcomeOf } from "../../fanout/exec/exec-host.ts";
import { type FanOutListener, fanOut } from "../../fanout/exec/fan-out.ts";
import { type CommandInput, keepInput, openInputFile } from "../../fanout/exec/input.ts";
import { type OutDirectory, openOutDirectory } from "../../fanout/exec/out-directory.ts";
import { type RemoteCommand, startCommand } from "../../fanout/exec/remote-command.ts";
import { colorsWanted, unicodeWanted } from "../../reporter/output.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../reporter/rows/wording.ts";

import { createSecretStore } from "../../vars/secrets/store.ts";
import type { ExecFlags, ExecWords } from "../exec-command.ts";
import { readBecome } from "../fan-out-become.ts";
import { shownAs } from "../options.ts";
import { withPasswords } from "../passwords.ts";
import { reachOptions } from "../reach-options.ts";
import { secretOptions } from "../secret-options.ts";
import { createPacedWriter, type ExecPrinter, type PrinterStream } from "./printer.ts";
import { hostsToWorkOn } from "./select.ts";

/** Above this, Linux takes no single argument. */
const MAX_COMMAND_BYTES = 100 * 1024;

/** Carries `volley exec` out and gives its exit code. Fails with what is wrong before any host is touched. */
export async function exec(words: ExecWords, flags: ExecFlags): Promise<number> {
  checkFlags(words, flags);
  const command = await readCommand(words, flags);
  const env = readEnvironment(flags.env ?? []);
  if (flags.pty === true) checkLine(startCommand(command, { env, stdinBytes: undefined, pty: true }).script);
  const { askPassphrase } = await import("../ask.ts");
  const secrets = createSecretStore({ ...secretOptions(flags), cwd: process.cwd(), ask: askPassphrase });
  const selected = await hostsToWorkOn(words, flags, secrets);
  const hosts = await Promise.all(selected.map((host) => withPasswords(host, secrets)));
  const becomeOn = await readBecome(flags);
  const interruption = onInterruption();
  const transports = await openTransports(hosts, await reachOptions(flags), interruption.stop.signal);
  const closers: (() => Promise<unknown> | undefined)[] = [async () => transports.close()];
  let failed: readonly string[] = [];
  let wantsShell = false;
  let exitCode: number;
  try {
    for (const { host, text } of transports.notes) process.stderr.write(`${host}: ${text}\n`);
    const input = await openInput(flags.stdin);
    closers.push(() => input?.close());
    const outDirectory = flags.outDir === undefined ? undefined : await openOutDirectory(flags.outDir);
    closers.push(() => outDirectory?.close());
    const targets = hosts.map((host) => ({
      name: host.name,
      become: becomeOn(host),
      ...transports.of(host),
    }));
    const title = titleOf(words, flags);
    const printer = await createPrinter(targets, flags, { title, onCancel: interruption.cancel });
    closers.push(() => printer.close());
    const [begunAt, startedAt] = [Date.now(), performance.now()];
    const results = await fanOut(targets, {
      command,
      env,
      ...(input === undefined ? {} : { input }),
      ...(flags.pty === true
        ? { pty: { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 } }
        : {}),
      forks: flags.forks,
      ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout * 1_000 }),
      listener: both(outDirectory, printer),
      stop: interruption.stop.signal,
      drop: interruption.drop.signal,
    });
    const { recordFanOut } = await import("../../controller/records/fan-out-record.ts");
    const ends = results.map(({ outcome, ...result }) => ({ ...result, outcome: outcomeOf(outcome) }));
    recordFanOut({
      kind: "exec",
      title: programOf(words, flags),
      startedAt: begunAt,
      concurrency: flags.forks,
      ends,
    });
    failed = results.filter(({ outcome }) => outcome !== "ok").map(({ host }) => host);
    wantsShell = (await printer.end(results, performance.now() - startedAt)) === "shell";
    exitCode = interruption.stop.signal.aborted ? 130 : exitCodeOf(results);
  } finally {
    interruption.release();
    for (const close of closers.reverse()) await close();
  }
  if (wantsShell) {
    const [{ shell }, { DEFAULT_SCROLLBACK }] = await Promise.all([
      import("../shell/shell.ts"),
      import("../shell-command.ts"),
    ]);
    const { limit: _limit, ...rest } = flags;
    await shell(failed.join(","), { ...rest, scrollback: DEFAULT_SCROLLBACK });
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

function checkLength(text: string, hint: string): void {
  if (Buffer.byteLength(text) > MAX_COMMAND_BYTES)
    throw new VolleyError("USAGE", "the command is too long for a command line", { hint });
}

/** On a terminal all of it is one argument of the login shell's, in which quotes and the like are numbers. */
function checkLine(script: string): void {
  checkLength(loginShellLine(script), "leave --pty out, or put it in a file on the hosts first");
}

async function readCommand({ line, words }: ExecWords, { script }: ExecFlags): Promise<RemoteCommand> {
  checkLength([line ?? "", ...words].join(" "), "put it in a file: --script FILE");
  if (script === undefined)
    return line === undefined ? { kind: "words", words } : { kind: "line", text: line };
  try {
    return { kind: "script", bytes: await readFile(script), words };
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot read the script ${script}: ${fileReason(cause)}`, {
      cause,
    });
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

async function openInput(stdin: string | undefined): Promise<CommandInput | undefined> {
  if (stdin === undefined) return undefined;
  return stdin === "-" ? keepInput(process.stdin) : openInputFile(stdin);
}

/** The command as whoever typed it sees it. */
function titleOf({ line, words }: ExecWords, { script }: ExecFlags): string {
  return line ?? [...(script === undefined ? [] : [script]), ...words].join(" ");
}

/** What is written down of a command: its program, for what stands behind that may be secret. */
function programOf({ line, words }: ExecWords, { script }: ExecFlags): string {
  const program = basename(script ?? words[0] ?? /^\s*(\S+)/.exec(line ?? "")?.[1] ?? "");
  return /^[\w.+-]+$/.test(program) ? program : "sh";
}

async function createPrinter(
  hosts: readonly FanOutHost[],
  flags: ExecFlags,
  { title, onCancel }: { readonly title: string; onCancel(): void },
): Promise<ExecPrinter> {
  const { stdout, stderr, env } = process;
  const isFolded = flags.fold === true || flags.diff === true || flags.output === "fold";
  const streamOf = (stream: NodeJS.WriteStream): PrinterStream => ({
    writer: createPacedWriter(stream),
    colors: colorsWanted(stream, env),
    columns: stream.isTTY === true ? stream.columns : undefined,
  });
  if (flags.output === "json")
    return (await import("./json-printer.ts")).createJsonPrinter(createPacedWriter(stdout));
  const options = {
    stdout: streamOf(stdout),
    stderr: streamOf(stderr),
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    hosts: hosts.map(({ name }) => name),
  };
  if (!isFolded && shownAs(flags.output) === "ink") {
    const endpoints = new Map(hosts.map(({ name, endpoint }) => [name, endpoint]));
    return (await import("./ink-printer.ts")).createInkPrinter({ ...options, title, endpoints, onCancel });
  }
  return isFolded
    ? (await import("./fold-printer.ts")).createFoldPrinter({ ...options, diff: flags.diff ?? false })
    : (await import("./live-printer.ts")).createLivePrinter(options);
}

/** What is written to disk is written before it is shown: a reader who has gone away costs nothing. */
function both(outDirectory: OutDirectory | undefined, printer: ExecPrinter): FanOutListener {
  if (outDirectory === undefined) return printer.listener;
  const { listener } = outDirectory;
  return {
    start: (host) => printer.listener.start?.(host),
    output: async (host, stream, chunk) => {
      await listener.output(host, stream, chunk);
      await printer.listener.output(host, stream, chunk);
    },
    end: async (result) => {
      await listener.end(result);
      await printer.listener.end(result);
    },
  };
}

interface Interruption {
  readonly stop: AbortController;
  readonly drop: AbortController;
  /** As Ctrl-C does it where it is a key and no signal. */
  cancel(): void;
  release(): void;
}

/** Ctrl-C once: the commands are ended; twice: nothing is waited for. A reader of the output who goes away is one Ctrl-C. */
function onInterruption(): Interruption {
  const [stop, drop] = [new AbortController(), new AbortController()];
  const onSignal = (): void => {
    if (stop.signal.aborted) return drop.abort();
    stop.abort();
    process.stderr.write("\nending the commands; Ctrl-C once more leaves at once\n");
  };
  const onGone = (): void => stop.abort();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.stdout.once("error", onGone);
  return {
    stop,
    drop,
    cancel: () => (stop.signal.aborted ? drop : stop).abort(),
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
      process.stdout.off("error", onGone);
    },
  };
}
