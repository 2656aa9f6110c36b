import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../core/errors.ts";
import type { Connection, Endpoint, Transport } from "../transport/transport.ts";

// The commands of a comparison: those that are timed, on this machine, and those that prepare and read the hosts.

/** A command to time. */
interface TimedCommand {
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
interface ProcessTimes {
  readonly userMs: number;
  readonly systemMs: number;
}

/**
 * A shell script that runs its arguments as a command and then writes the processor time of its children to file
 * descriptor 3, as the `times` builtin prints it (POSIX, "Shell Command Language", special built-in utilities). The
 * script ignores Ctrl-C, which is for the command.
 */
const TIMED_SCRIPT = `trap : INT TERM
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

/** A host and the way to it. */
interface ControlledHost {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
}

/** Connections of the comparison itself, beside the measured ones: they bring hosts to a state, and read counters. */
export interface HostControl {
  /**
   * Run a line in `sh` on every host, as the login user; returns each host's stdout. Fails with `COMPARE_FAILED` when a
   * host fails.
   */
  run(line: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  close(): void;
}

/** Hosts at work at a time. */
const AT_ONCE = 20;
const SHOWN_CHARACTERS = 200;

/** Make a {@link HostControl} that connects to a host at the first line, and again after a lost connection. */
export function createHostControl(hosts: readonly ControlledHost[]): HostControl {
  const connections = new Map<string, Connection>();
  const connectionTo = async ({ name, endpoint, transport }: ControlledHost, signal: AbortSignal) => {
    const before = connections.get(name);
    if (before !== undefined) return before;
    const connection = await transport.connect(endpoint, signal);
    connections.set(name, connection);
    void connection.closed.then(() => connections.delete(name));
    return connection;
  };
  const runOn = async (host: ControlledHost, line: string, signal: AbortSignal): Promise<string> => {
    const connection = await connectionTo(host, signal);
    const process = await connection.exec(line, signal);
    process.stdin.on("error", () => {});
    process.stdin.end();
    let stdout = "";
    let stderr = "";
    process.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    process.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-SHOWN_CHARACTERS);
    });
    const exit = await process.exit;
    if (exit.kind === "exited" && exit.code === 0) return stdout;
    const how =
      exit.kind === "exited"
        ? `exit code ${exit.code}`
        : exit.kind === "signalled"
          ? `ended by ${exit.signal}`
          : exit.reason;
    throw new VolleyError("COMPARE_FAILED", `${host.name}: \`${line}\` failed: ${stderr.trim() || how}`);
  };
  return {
    run: async (line, signal) => {
      const told = new Map<string, string>();
      const waiting = [...hosts];
      const work = async (): Promise<void> => {
        for (let host = waiting.shift(); host !== undefined; host = waiting.shift())
          told.set(host.name, await runOn(host, line, signal));
      };
      await Promise.all(hosts.slice(0, AT_ONCE).map(work));
      return told;
    },
    close: () => {
      for (const connection of connections.values()) connection.close();
      connections.clear();
    },
  };
}

/**
 * A script that prints the processor time of all sessions of the login user, by its slice (systemd.special(7),
 * user.slice; cpu.stat of the kernel's cgroup v2), and the cgroup namespace and boot.
 */
export const CPU_SCRIPT = `cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/cgroup
g=$(sed -n s/^0:://p /proc/self/cgroup); g=\${g#/user.slice/}
for r in /sys/fs/cgroup /sys/fs/cgroup/unified; do cat "$r/user.slice/\${g%%/*}/cpu.stat" 2>/dev/null && break; done; :`;

/** A reading of the processor time of a host. */
export interface CpuReading {
  /** Kernel and namespace: hosts with the same are one machine. */
  readonly machine: string;
  /** In milliseconds since an unknown time; undefined where there is no slice. */
  readonly usageMs: number | undefined;
}

/** Read the hosts' processor time so far. */
export async function readCpu(
  control: HostControl,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, CpuReading>> {
  const told = await control.run(CPU_SCRIPT, signal);
  return new Map([...told].map(([host, text]) => [host, parseCpuReading(text)]));
}

/** Parse the output of {@link CPU_SCRIPT}. */
export function parseCpuReading(text: string): CpuReading {
  const [boot = "", namespace = ""] = text.split("\n");
  const micros = /^usage_usec (\d+)$/m.exec(text)?.[1];
  return {
    machine: `${boot} ${namespace}`,
    usageMs: micros === undefined ? undefined : Number(micros) / 1_000,
  };
}

/** Name this machine as {@link CpuReading} does; undefined on another system than Linux. */
export function ownMachine(): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/cgroup")}`;
  } catch {
    return undefined;
  }
}

/** Return why these readings, one of each host, do not tell processor time; undefined when they do. */
export function whyNotMeasurable(
  readings: ReadonlyMap<string, CpuReading>,
  own: string | undefined,
): string | undefined {
  const machines = new Set<string>();
  for (const [host, { machine, usageMs }] of readings) {
    if (machine === own) return `${host} is this very machine`;
    if (usageMs === undefined) return `${host} has no cgroup v2 slice of the login user`;
    if (machines.has(machine)) return `${host} and another host are one machine`;
    machines.add(machine);
  }
  return undefined;
}

/**
 * Add up the hosts' processor time between two readings, in milliseconds; undefined when a host was restarted between.
 */
export function cpuBetween(
  before: ReadonlyMap<string, CpuReading>,
  after: ReadonlyMap<string, CpuReading>,
): number | undefined {
  let sum = 0;
  for (const [host, { machine, usageMs }] of after) {
    const earlier = before.get(host);
    if (earlier?.usageMs === undefined || usageMs === undefined) return undefined;
    if (earlier.machine !== machine || usageMs < earlier.usageMs) return undefined;
    sum += usageMs - earlier.usageMs;
  }
  return sum;
}
