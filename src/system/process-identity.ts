import { readFileSync } from "node:fs";

/** What is different after every boot; empty where the system does not tell. */
export function bootId(): string {
  return readOr("/proc/sys/kernel/random/boot_id", "").trim();
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
