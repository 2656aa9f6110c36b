import { readFileSync, readlinkSync } from "node:fs";
import { VolleyError } from "../core/errors.ts";
import type { Connection, Endpoint, Transport } from "../transport/transport.ts";

/** A host and the way to it. */
export interface ControlledHost {
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

/** The output of {@link CPU_SCRIPT}. */
export interface CpuReading {
  /** Kernel and namespace: hosts with the same are one machine. */
  readonly machine: string;
  /** In milliseconds since an unknown time; undefined where there is no slice. */
  readonly usageMs: number | undefined;
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
