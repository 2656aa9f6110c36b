import { constants } from "node:os";
import { isAbsolute } from "node:path/posix";
import { VolleyError } from "../core/errors.ts";
import type { ProcessOptions, ProcessResult } from "../core/system.ts";
import { Capture, DEFAULT_MAX_OUTPUT } from "../system/output.ts";
import type { RemoteExit } from "../transport/transport.ts";
import { type Shells, lineWord as word } from "./shell.ts";

const KILL_GRACE_MS = 5_000;
/** Longest wait for the end of a killed process. */
const GONE_MS = 5_000;

/** The default directory of commands, and their search path. */
export interface ProcessHome {
  readonly directory: string;
  /** Directories searched for commands, with `:` between. */
  readonly path: string;
  /** Return the absolute path of a path that may begin with `~/`. */
  at(path: string): string;
}

/** Options of {@link runRemotely}. */
interface RemoteOptions extends ProcessOptions {
  /** The standard input and output, as `pipe` of a System has them. */
  readonly stream?: NodeJS.ReadWriteStream;
}

/** Run a command on a host to its end. Timeout and abort end its whole process group there. */
export async function runRemotely(
  shells: Shells,
  home: ProcessHome,
  argv: readonly string[],
  options: RemoteOptions = {},
): Promise<ProcessResult> {
  const [command] = argv;
  if (command === undefined) throw new VolleyError("PROCESS_FAILED", "cannot run an empty command");
  const { cwd, input, onOutput, timeoutMs, signal, keepsBytes, maxOutput = DEFAULT_MAX_OUTPUT } = options;
  const { stream: own } = options;
  if (signal?.aborted) throw cancelled(command);
  const stdout = new Capture(maxOutput, onOutput && ((text) => onOutput("stdout", text)));
  const stderr = new Capture(maxOutput, onOutput && ((text) => onOutput("stderr", text)));
  const run = await shells.run(commandLine(home, argv, options), (stream, bytes) => {
    if (stream === "stderr") stderr.add(bytes);
    else if (own === undefined) stdout.add(bytes);
    else if (!own.write(bytes)) run.waitFor(own);
  });
  if (own === undefined) run.end(input);
  else run.readFrom(own);

  let stopped: VolleyError | undefined;
  let giveUp!: (reason: VolleyError) => void;
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  givenUp.catch(() => {});
  const timers: NodeJS.Timeout[] = [];
  const endGroup = async (name: "TERM" | "KILL"): Promise<void> => {
    const group = await run.group;
    if (group !== undefined && group >= 2) await shells.signal(name, group);
  };
  const stop = (reason: VolleyError): void => {
    if (stopped !== undefined) return;
    stopped = reason;
    endGroup("TERM").catch(() => {});
    timers.push(
      setTimeout(() => void endGroup("KILL").catch(() => {}), KILL_GRACE_MS),
      setTimeout(() => giveUp(reason), KILL_GRACE_MS + GONE_MS),
    );
  };
  if (timeoutMs !== undefined) {
    const late = (): void =>
      stop(new VolleyError("TIMEOUT", `${command} took longer than ${timeoutMs / 1000} s`));
    timers.push(setTimeout(late, timeoutMs));
  }
  const onAbort = (): void => stop(cancelled(command));
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  try {
    const exit = await Promise.race([run.exit, givenUp]);
    if (stopped !== undefined) throw stopped;
    const word = await run.word;
    if (word !== "ok" && exit.kind !== "lost") throw explainStart(command, cwd, word);
    const texts = { stdout: stdout.end(keepsBytes), stderr: stderr.end(keepsBytes) };
    return {
      argv,
      ...describeExit(command, exit),
      ...texts,
      ...(stdout.truncated || stderr.truncated ? { truncated: true } : {}),
    };
  } finally {
    // Processes left in the background are killed at once.
    if (stopped !== undefined)
      await Promise.race([endGroup("KILL").catch(() => {}), givenUp.catch(() => {})]);
    for (const timer of timers) clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Sets variables of any name and becomes the command, in Perl, which every Debian has. */
const SET_ODD_NAMES =
  "for (grep /^VOLLEY_ENV_\\d+$/, keys %ENV) { my ($n, $v) = split /=/, delete $ENV{$_}, 2; $ENV{$n} = $v } exec {$ARGV[0]} @ARGV; exit 127";

/** Return the line of shell for a command. Its first word of output tells whether the command could be started. */
function commandLine(
  { directory: own, path, at }: ProcessHome,
  argv: readonly string[],
  { cwd, env = {}, input, stream }: RemoteOptions,
): string {
  const [command = ""] = argv;
  const given = { PATH: path, ...env };
  const names = Object.keys(given) as (keyof typeof given)[];
  const plain = names.filter((name) => /^[A-Za-z_]\w*$/.test(name));
  const odd = names.filter((name) => !plain.includes(name) && given[name] !== undefined);
  const settings = plain.map((name) => {
    const value: string | undefined = given[name];
    return value === undefined ? `unset ${name}` : `${name}=${word(value)}; export ${name}`;
  });
  // Names that are no shell's go through variables that are: env(1) would show values on its command line.
  const hidden = odd.map((name, index) => `VOLLEY_ENV_${index}=${word(`${name}=${given[name]}`)}`);
  const through =
    odd.length === 0 ? "" : `env ${odd.map((name) => word(`${name}=${given[name]}`)).join(" ")} `;
  const perl =
    odd.length === 0
      ? ""
      : `! command -v perl >/dev/null 2>&1 || { export ${hidden.join(" ")}; exec perl -e ${word(SET_ODD_NAMES)} `;
  const directory = cwd === undefined ? own : at(cwd);
  const otherwise = cwd === undefined ? "cd /" : "{ echo nodir; exit 126; }";
  const called = word(command);
  const found = command.includes("/")
    ? `[ -e ${called} ] || { echo none; exit 127; }; { [ -x ${called} ] && [ ! -d ${called} ]; } || { echo denied; exit 126; }`
    : `command -v ${called} >/dev/null 2>&1 || { echo none; exit 127; }`;
  const program = `${argv.map(word).join(" ")}${input === undefined && stream === undefined ? " </dev/null" : ""}`;
  return [
    `cd ${word(directory)} 2>/dev/null || ${otherwise}`,
    ...settings,
    found,
    "echo ok",
    ...(perl === "" ? [] : [`${perl}${program}; }`]),
    `exec ${through}${program}`,
  ].join("; ");
}

function describeExit(command: string, exit: RemoteExit): Pick<ProcessResult, "code" | "signal"> {
  switch (exit.kind) {
    case "exited":
      return { code: exit.code };
    case "signalled": {
      const name = `SIG${exit.signal.replace(/^SIG/, "")}`;
      return { code: 128 + (constants.signals[name as NodeJS.Signals] ?? 0), signal: name };
    }
    case "lost":
      throw new VolleyError("CONNECTION_LOST", `the connection went while ${command} ran: ${exit.reason}`);
  }
}

function cancelled(command: string): VolleyError {
  return new VolleyError("CANCELLED", `${command} was cancelled`);
}

/** Return the error of a command that could not be started, in the words of the local System. */
function explainStart(command: string, cwd: string | undefined, word: string | undefined): VolleyError {
  switch (word) {
    case "nodir":
      return new VolleyError(
        "PROCESS_FAILED",
        `cannot run ${command} in ${cwd}: no such command or directory`,
      );
    case "none":
      return new VolleyError(
        "PROCESS_FAILED",
        cwd === undefined || isAbsolute(command)
          ? `cannot run ${command}: no such command`
          : `cannot run ${command} in ${cwd}: no such command or directory`,
      );
    case "denied":
      return new VolleyError("PROCESS_FAILED", `cannot run ${command}: permission denied`);
    default:
      return new VolleyError("PROCESS_FAILED", `cannot run ${command}: the host's shell did not start it`);
  }
}
