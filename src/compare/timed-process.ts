import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** A command to time. */
export interface TimedCommand {
  /** The program and its arguments. */
  readonly words: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Take the command's stdout as it arrives. */
  readonly onStdout?: (chunk: string) => void;
  readonly signal: AbortSignal;
}

/** The result of a timed command. */
export interface TimedResult {
  /** Milliseconds from the start of the process to its end. */
  readonly wallMs: number;
  /** Processor time of the command and of its processes that ended before it; undefined when a signal ended it. */
  readonly times: ProcessTimes | undefined;
  /** 128 plus the number of a signal, as in shells; 127 when the command could not be started. */
  readonly exitCode: number;
  /** The last lines of both streams, in the order they arrived. */
  readonly lastLines: readonly string[];
}

const KEPT_CHARACTERS = 8_000;
const KEPT_LINES = 20;
/**
 * Time to wait for the streams to end: a process left in the background, such as ssh's ControlPersist, keeps them open.
 */
const DRAIN_MS = 1_000;
/** Time from SIGINT to SIGKILL. */
const GRACE_MS = 10_000;

/**
 * Run a command to its end. On the abort of `signal` the command gets SIGINT, and SIGKILL 10 s later. Never rejects.
 */
export async function runTimed(command: TimedCommand): Promise<TimedResult> {
  const { words, cwd, env, onStdout, signal } = command;
  let tail = "";
  let told = "";
  const startedMs = performance.now();
  // A process group of its own: Ctrl-C at the terminal reaches this process alone, which passes it on.
  const child = spawn("/bin/sh", ["-c", TIMED_SCRIPT, "sh", ...words], {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const keep = (text: string): void => {
    tail = (tail + text).slice(-KEPT_CHARACTERS);
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    keep(text);
    onStdout?.(text);
  });
  child.stderr?.setEncoding("utf8").on("data", keep);
  (child.stdio[3] as Readable | null)?.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  let killer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    killGroup(child, "SIGINT");
    killer = setTimeout(() => killGroup(child, "SIGKILL"), GRACE_MS);
  };
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const exit = await exitOf(child);
  const wallMs = performance.now() - startedMs;
  signal.removeEventListener("abort", onAbort);
  clearTimeout(killer);
  const waiting = new AbortController();
  await Promise.race([closed, sleep(DRAIN_MS, undefined, { signal: waiting.signal }).catch(() => {})]);
  waiting.abort();
  for (const stream of child.stdio) stream?.destroy();
  return {
    wallMs,
    times: parseTimes(told),
    exitCode: exit.code,
    lastLines: `${tail}${exit.problem}`
      .split("\n")
      .filter((line) => line.trim() !== "")
      .slice(-KEPT_LINES),
  };
}

function exitOf(child: ChildProcess): Promise<{ readonly code: number; readonly problem: string }> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: 127, problem: error.message }));
    child.once("exit", (code, signal) => {
      resolve({ code: code ?? 128, problem: signal === null ? "" : `ended by ${signal}` });
    });
  });
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The process has ended meanwhile.
  }
}

/** Processor time of processes that have ended, in milliseconds: user and system. */
export interface ProcessTimes {
  readonly userMs: number;
  readonly systemMs: number;
}

/**
 * A shell script that runs its arguments as a command and then writes the processor time of its children to file
 * descriptor 3, as the `times` builtin prints it (POSIX, "Shell Command Language", special built-in utilities). The
 * script ignores Ctrl-C, which is for the command.
 */
export const TIMED_SCRIPT = `trap : INT TERM
"$@" 3>&-
code=$?
times >&3
exit $code`;

/** Parse the output of {@link TIMED_SCRIPT}: the second line is about the children. Undefined when it is missing. */
export function parseTimes(text: string): ProcessTimes | undefined {
  const [, children = ""] = text.split("\n");
  const [user, system] = children.trim().split(/\s+/).map(parseTime);
  return user === undefined || system === undefined ? undefined : { userMs: user, systemMs: system };
}

/** Parse `1m2.345s`; some locales write a comma. */
function parseTime(text: string): number | undefined {
  const [, minutes, seconds] = /^(\d+)m([\d.,]+)s$/.exec(text) ?? [];
  if (minutes === undefined || seconds === undefined) return undefined;
  return Number(minutes) * 60_000 + Number(seconds.replace(",", ".")) * 1_000;
}
