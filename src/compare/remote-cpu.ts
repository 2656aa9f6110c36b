import { readFileSync, readlinkSync } from "node:fs";

/**
 * Tells of the processor time that all sessions of the login user have taken, by its slice (systemd.special(7),
 * user.slice; cpu.stat of the kernel's cgroup v2), and of which cgroup namespace and boot it is.
 */
export const CPU_SCRIPT = `cat /proc/sys/kernel/random/boot_id; readlink /proc/self/ns/cgroup
g=$(sed -n s/^0:://p /proc/self/cgroup); g=\${g#/user.slice/}
for r in /sys/fs/cgroup /sys/fs/cgroup/unified; do cat "$r/user.slice/\${g%%/*}/cpu.stat" 2>/dev/null && break; done; :`;

/** What {@link CPU_SCRIPT} told. */
export interface CpuReading {
  /** Of which kernel and namespace: hosts with the same are one machine. */
  readonly machine: string;
  /** In milliseconds, since some time; undefined where there is no slice. */
  readonly usageMs: number | undefined;
}

/** Reads what {@link CPU_SCRIPT} writes. */
export function parseCpuReading(text: string): CpuReading {
  const [boot = "", namespace = ""] = text.split("\n");
  const micros = /^usage_usec (\d+)$/m.exec(text)?.[1];
  return {
    machine: `${boot} ${namespace}`,
    usageMs: micros === undefined ? undefined : Number(micros) / 1_000,
  };
}

/** This machine, as {@link CpuReading} names it; undefined on another system than Linux. */
export function ownMachine(): string | undefined {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot} ${readlinkSync("/proc/self/ns/cgroup")}`;
  } catch {
    return undefined;
  }
}

/** Why processor time cannot be had from these readings, one of each host; undefined when it can. */
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

/** What the hosts took between two readings, added up, in milliseconds; undefined when a host was restarted between. */
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
