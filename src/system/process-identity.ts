import { readFileSync, readlinkSync } from "node:fs";

/** The namespace a kernel begins with (PROC_PID_INIT_INO in linux/proc_ns.h). */
const FIRST_PROCESSES = "4026531836";

/**
 * What is different after every boot, and in every container that counts its processes by itself: process numbers can be
 * compared only where it is the same. Empty where the system does not tell.
 */
export function bootId(): string {
  const boot = readOr("/proc/sys/kernel/random/boot_id", "").trim();
  const processes = /\d+/.exec(linkOr("/proc/self/ns/pid"))?.[0] ?? FIRST_PROCESSES;
  return processes === FIRST_PROCESSES ? boot : `${boot}.${processes}`;
}

/** Which machine this is: machine-id(5), else the boot; several may share a home. Fit for a file's name. */
export function machineId(): string {
  const id = readOr("/etc/machine-id", "").trim();
  return /^[0-9a-f]+$/.test(id) ? id : bootId() || "this";
}

/**
 * When a process started, in clock ticks since the boot (proc(5), field 22 of stat): with it a process is told from
 * another that got its number later. Undefined when there is no such process, or it has ended.
 */
export function processStart(pid: number): string | undefined {
  const stat = readOr(`/proc/${pid}/stat`, "");
  if (stat === "") return undefined;
  // The command's name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // One that has ended and that nobody has asked for its end.
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/** Whether the process that was told apart like this still runs. */
export function isAlive({
  pid,
  start,
  boot,
}: {
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
}): boolean {
  return boot === bootId() && processStart(pid) === start;
}

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
