import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { Outcome } from "../../core/events.ts";
import type { Become } from "../../core/unix/users.ts";
import { startAs as startAsAnother } from "../../transport/become.ts";
import type {
  Connection,
  Endpoint,
  RemoteExit,
  RemoteProcess,
  SessionWait,
  TerminalSize,
  Transport,
} from "../../transport/transport.ts";
import {
  type CommandInput,
  END_COMMAND,
  END_SECONDS,
  type RemoteCommand,
  type StartedCommand,
  startCommand,
} from "./remote-command.ts";

/** A host to run a command on. */
export interface FanOutHost {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  /** The user to become, and how; null for none. */
  readonly become: Become | null;
}

/** Follows a fan-out. */
export interface FanOutListener {
  start?(host: string): void;
  /** Take output of a host; no more is read until a returned promise settles. */
  output(host: string, stream: "stdout" | "stderr", chunk: Buffer): Promise<void> | undefined;
  /** Take a host's result; the next host starts once a returned promise settles. */
  end(result: HostResult): Promise<void> | undefined;
}

/** The command of a fan-out, and its options. */
export interface FanOutOptions {
  readonly command: RemoteCommand;
  /** Environment variables of the command. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input of the command. Default: empty. */
  readonly input?: CommandInput;
  /** Start it on a terminal of this size. Default: no terminal. */
  readonly pty?: TerminalSize;
  /** Number of hosts at a time. */
  readonly forks: number;
  /** Time limit of the started command. Default: none. */
  readonly timeoutMs?: number;
  readonly listener: FanOutListener;
  /** Starts no more commands and cancels the running ones: TERM, and KILL 5 seconds later. */
  readonly cancel: AbortSignal;
  /** Closes all connections at once. */
  readonly kill: AbortSignal;
}

/**
 * Run a command on many hosts, some at a time, and return the results in the hosts' order. A host's failure is in its
 * result. When the listener fails, closes all connections and rejects.
 */
export async function fanOut(
  hosts: readonly FanOutHost[],
  options: FanOutOptions,
): Promise<readonly HostResult[]> {
  const { command, env = {}, input, pty, forks, listener, cancel } = options;
  const broken = new AbortController();
  const kill = AbortSignal.any([options.kill, broken.signal]);
  // Every working host listens: that is no leak.
  setMaxListeners(0, cancel, kill);
  const started = startCommand(command, { env, stdinBytes: input?.bytes, pty: pty !== undefined });
  const results: HostResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < hosts.length && !broken.signal.aborted; index = next++) {
      const host = hosts[index]!;
      if (!cancel.aborted) listener.start?.(host.name);
      const result = await execOnHost(host, {
        ...options,
        ...started,
        output: (stream, chunk) => listener.output(host.name, stream, chunk),
        kill,
      });
      results[index] = result;
      await listener.end(result);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(forks, hosts.length) }, work));
  } catch (thrown) {
    broken.abort();
    throw thrown;
  }
  return results;
}

/** A host's part of a fan-out. */
export interface HostExecOptions
  extends StartedCommand,
    Pick<FanOutOptions, "input" | "pty" | "timeoutMs" | "cancel" | "kill"> {
  /** Take output; no more is read until a returned promise settles. */
  output(stream: "stdout" | "stderr", chunk: Buffer): Promise<void> | undefined;
}

/** Time for END_COMMAND and its effect to travel, beside the command's own time to end. */
const TRAVEL_MS = 2_000;
const CONTROL_C = "\x03";

/** Connect, run the command and return its result; rejects only when `output` does. */
export async function execOnHost(host: FanOutHost, options: HostExecOptions): Promise<HostResult> {
  const startedAt = performance.now();
  const counts = { stdout: 0, stderr: 0 };
  const resultOf = (outcome: ExecOutcome, exit?: RemoteExit, thrown?: unknown): HostResult => ({
    host: host.name,
    outcome,
    exit,
    error: thrown === undefined ? undefined : serializeError(thrown),
    elapsedMs: performance.now() - startedAt,
    stdoutBytes: counts.stdout,
    stderrBytes: counts.stderr,
  });
  const output: HostExecOptions["output"] = (stream, chunk) => {
    counts[stream] += chunk.length;
    return options.output(stream, chunk);
  };

  if (options.cancel.aborted) return resultOf("cancelled");
  let connection: Connection | undefined;
  try {
    let process: RemoteProcess;
    try {
      connection = await host.transport.connect(host.endpoint, options.cancel);
      process = await startAs(connection, options.script, {
        ...{ host: host.name, login: host.endpoint.user, become: host.become },
        ...{ signal: options.cancel, pty: options.pty },
      });
    } catch (thrown) {
      if (isVolleyError(thrown) && thrown.code === "CANCELLED") return resultOf("cancelled");
      // After the login the host counts as reached, whatever fails next.
      if (connection === undefined) return resultOf("unreachable", undefined, thrown);
      const isLost = isVolleyError(thrown) && thrown.code === "CONNECTION_LOST";
      return resultOf(isLost ? "lost" : "failed", undefined, thrown);
    }
    const { exit, endedBy } = await watch(connection, process, { ...options, output });
    if (exit.kind === "exited" && exit.code === 0) return resultOf("ok", exit);
    if (endedBy !== undefined) return resultOf(endedBy, exit);
    return resultOf(exit.kind === "lost" ? "lost" : "failed", exit);
  } finally {
    connection?.close();
  }
}

interface Watched {
  readonly exit: RemoteExit;
  readonly endedBy: "timedOut" | "cancelled" | undefined;
}

/** Feed a process and follow it to its end; a time limit or `cancel` may end it. */
async function watch(
  connection: Connection,
  process: RemoteProcess,
  options: HostExecOptions,
): Promise<Watched> {
  const { preamble, input, pty, timeoutMs, cancel, kill } = options;
  let endedBy: Watched["endedBy"];
  let hasInput = false;
  let graceTimer: NodeJS.Timeout | undefined;
  const close = (): void => connection.close();
  const end = (why: "timedOut" | "cancelled"): void => {
    if (endedBy !== undefined) return;
    endedBy = why;
    // END_COMMAND behind unsent input would not be read in time: close the connection instead.
    if (!hasInput) return close();
    process.stdin.write(pty === undefined ? END_COMMAND : CONTROL_C);
    graceTimer = setTimeout(close, END_SECONDS * 1_000 + TRAVEL_MS);
  };
  const onCancel = (): void => end("cancelled");
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => end("timedOut"), timeoutMs);
  cancel.addEventListener("abort", onCancel, { once: true });
  kill.addEventListener("abort", close, { once: true });
  try {
    const followed = Promise.all([
      follow(process.stdout, (chunk) => options.output("stdout", chunk)),
      follow(process.stderr, (chunk) => options.output("stderr", chunk)),
    ]);
    if (preamble.length > 0) process.stdin.write(preamble);
    await input?.sendTo(process.stdin, process.exit);
    hasInput = true;
    // Requests that came while the connection was being made.
    if (cancel.aborted) end("cancelled");
    if (kill.aborted) close();
    const exit = await Promise.race([process.exit, rejectionOf(followed)]);
    await Promise.race([followed, connection.closed]);
    return { exit, endedBy };
  } finally {
    clearTimeout(timer);
    clearTimeout(graceTimer);
    cancel.removeEventListener("abort", onCancel);
    kill.removeEventListener("abort", close);
  }
}

async function rejectionOf(promise: Promise<unknown>): Promise<never> {
  await promise;
  return new Promise<never>(() => {});
}

/** Read a stream to its end at the pace of `take`; rejects when `take` does. */
export function follow(stream: Readable, take: (chunk: Buffer) => Promise<void> | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    let taking = Promise.resolve();
    stream.on("data", (chunk: Buffer) => {
      let waiting: Promise<void> | undefined;
      try {
        waiting = take(chunk);
      } catch (thrown) {
        return reject(thrown);
      }
      if (waiting === undefined) return;
      stream.pause();
      taking = waiting.then(() => void stream.resume(), reject);
    });
    const finish = (): void => void taking.then(resolve);
    stream.once("end", finish);
    stream.once("close", finish);
    stream.once("error", finish);
  });
}

/** The outcome of a command on a host. */
type ExecOutcome =
  | "ok"
  /** Exit code other than 0, or a signal. */
  | "failed"
  | "timedOut"
  | "unreachable"
  /** The connection was lost while the command ran. */
  | "lost"
  /** Cancelled by the user, perhaps before its start. */
  | "cancelled";

/** The result of a command on one host. */
export interface HostResult {
  readonly host: string;
  readonly outcome: ExecOutcome;
  /** Undefined when the command was not started. */
  readonly exit: RemoteExit | undefined;
  readonly error: SerializedError | undefined;
  /** Since the start of connecting. */
  readonly elapsedMs: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

/** Remove a host's name from the beginning of an error about it. */
export function withoutName(host: string, text: string): string {
  if (!text.startsWith(host)) return text;
  // `web1: …`, `web1 (10.0.0.1:22) …` or `web1 cannot …`; an error about web10 is not about web1.
  const [between] = /^(?:: | \([^()]*\) | )/.exec(text.slice(host.length)) ?? [];
  return between === undefined ? text : text.slice(host.length + between.length);
}

/** Describe the signal that killed a process: `killed by TERM`. */
export function describeSignal(signal: string): string {
  // sshd has no name for real-time signals, and sends a name with @ (RFC 4254, section 6.10).
  if (signal.includes("@")) return "killed by a real-time signal";
  return `killed by ${signal.replace(/^SIG/, "")}`;
}

/** Translate into the outcome of a host's part of a run. */
export function outcomeOf(outcome: ExecOutcome): Outcome {
  return outcome === "timedOut" ? "failed" : outcome;
}

/** Return the exit code of a fan-out: 130 cancelled, 4 for unreachable or lost hosts, 2 for failed hosts, else 0. */
export function exitCodeOf(results: readonly Pick<HostResult, "outcome">[]): 0 | 2 | 4 | 130 {
  const has = (...outcomes: readonly ExecOutcome[]): boolean =>
    results.some(({ outcome }) => outcomes.includes(outcome));
  if (has("cancelled")) return 130;
  if (has("unreachable", "lost")) return 4;
  return has("failed", "timedOut") ? 2 : 0;
}

/** The user of a process, and names for messages. */
interface StartAsOptions {
  readonly host: string;
  /** The login user. */
  readonly login: string;
  /** Null for the login user. */
  readonly become: Become | null;
  readonly signal: AbortSignal;
  /** Size of the process's terminal. Default: no terminal. */
  readonly pty?: TerminalSize | undefined;
  /** See {@link ExecOptions}. */
  readonly wait?: SessionWait;
}

/** Start a script for `sh` in a user's home. Fails with `BECOME_FAILED`, `CONNECTION_LOST` or `CANCELLED`. */
export async function startAs(
  connection: Connection,
  script: string,
  { become, host, login, signal, pty, wait }: StartAsOptions,
): Promise<RemoteProcess> {
  const start = (text: string): Promise<RemoteProcess> =>
    connection.exec(text, signal, {
      ...(pty === undefined ? {} : { pty }),
      ...(wait === undefined ? {} : { wait }),
    });
  if (become === null) return start(script);
  return startAsAnother(start, `cd "$HOME" 2>/dev/null || cd /; ${script}`, {
    ...{ host, login, become, signal, onTerminal: pty !== undefined },
    terminalHint: `it takes one that does not ask: permit nopass ${login}, or sudo`,
  });
}
