import type { Facts } from "../../core/facts.ts";
import type { ReadSystem } from "../../core/system.ts";
import { clockFromFiles, gatherDateTime } from "./date-time.ts";
import { gatherDistribution } from "./distribution.ts";
import { gatherFirmware, gatherMemory, gatherProcessors } from "./hardware.ts";
import { gatherNames, gatherUser } from "./identity.ts";
import { gatherLocalFacts } from "./local-facts.ts";
import type { Machine } from "./machine.ts";
import { gatherMounts } from "./mounts.ts";
import { gatherNetwork } from "./network.ts";
import { createFactReader } from "./reader.ts";
import {
  gatherCommandLine,
  gatherHostKeys,
  gatherPython,
  gatherSecurity,
  gatherServiceManager,
} from "./services.ts";
import { gatherVirtualization } from "./virtualization.ts";

/**
 * Finds out what is known of a host, from files alone: no process is started. Names and values are those of
 * Ansible's `setup`. `machine` adds what no file tells (file system sizes, addresses by interface); leave it out when
 * the system is not the machine this runs on.
 */
export async function gatherFacts(
  system: ReadSystem,
  env: NodeJS.ProcessEnv,
  machine?: Machine,
): Promise<Facts> {
  const reader = createFactReader(system);
  const [names, firmware, uptime, load] = await Promise.all([
    gatherNames(reader),
    gatherFirmware(reader),
    reader.text("/proc/uptime"),
    reader.text("/proc/loadavg"),
  ]);
  const [
    user,
    distribution,
    service_mgr,
    processors,
    memory,
    virtualization,
    network,
    mounts,
    security,
    cmdline,
    date_time,
    hostKeys,
    python,
    local,
  ] = await Promise.all([
    gatherUser(reader, system, env),
    gatherDistribution(reader),
    gatherServiceManager(reader),
    gatherProcessors(reader),
    gatherMemory(reader),
    gatherVirtualization(reader, firmware),
    gatherNetwork(reader, names.machine, machine?.ipv4Addresses()),
    gatherMounts(reader, (path) => machine?.fileSystemSize(path)),
    gatherSecurity(reader, (path) => identityOf(system, path)),
    gatherCommandLine(reader),
    (async () => gatherDateTime(system, machine?.nowMs() ?? (await clockFromFiles(reader)), env))(),
    gatherHostKeys(reader),
    gatherPython(reader),
    gatherLocalFacts(system),
  ]);
  const [oneMinute = 0, fiveMinutes = 0, fifteenMinutes = 0] = (load ?? "")
    .split(" ")
    .slice(0, 3)
    .map(Number);
  return {
    ...names,
    ...distribution,
    ...firmware,
    ...processors,
    ...memory,
    ...virtualization,
    ...user,
    ...network,
    ...security,
    ...hostKeys,
    ...python,
    ...local,
    service_mgr,
    mounts,
    cmdline,
    date_time,
    uptime_seconds: Math.floor(Number((uptime ?? "0").split(" ")[0])),
    loadavg: { "1m": oneMinute, "5m": fiveMinutes, "15m": fifteenMinutes },
    env: Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}

/** What tells one file from all others, or undefined when it cannot be looked at. */
async function identityOf(system: ReadSystem, path: string): Promise<string | undefined> {
  try {
    const stat = await system.stat(path, true);
    return stat === null ? undefined : `${stat.device}:${stat.inode}`;
  } catch {
    return undefined;
  }
}
