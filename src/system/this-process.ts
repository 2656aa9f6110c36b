import { accessSync, constants, readFileSync, readlinkSync } from "node:fs";
import { VolleyError } from "../core/errors.ts";

/** The PID namespace that a kernel starts with (PROC_PID_INIT_INO in linux/proc_ns.h). */
const FIRST_NAMESPACE = "4026531836";

/**
 * Return an id of this machine's boot and PID namespace: process numbers can be compared only where the ids are equal.
 * The id differs after every boot, and in every container with process numbers of its own. Empty where the system does
 * not report it.
 */
export function bootId(): string {
  boot ??= readBootId();
  return boot;
}

let boot: string | undefined;

function readBootId(): string {
  const id = readOr("/proc/sys/kernel/random/boot_id", "").trim();
  const namespace = /\d+/.exec(linkOr("/proc/self/ns/pid"))?.[0] ?? FIRST_NAMESPACE;
  return namespace === FIRST_NAMESPACE ? id : `${id}.${namespace}`;
}

/** This machine: machine-id(5), else the boot. Several machines may share a home. Safe in file names. */
export function machineId(): string {
  const id = readOr("/etc/machine-id", "").trim();
  return /^[0-9a-f]+$/.test(id) ? id : bootId() || "this";
}

/**
 * Return the start time of a process, in clock ticks since the boot (proc(5), field 22 of stat), which distinguishes the
 * process from a later one with the same number. Undefined for a process that does not exist, or has ended.
 */
export function processStart(pid: number): string | undefined {
  const stat = readOr(`/proc/${pid}/stat`, "");
  if (stat === "") return undefined;
  // The command's name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie has ended; its parent has not waited for it yet.
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/** A process, told apart from all others by more than its number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
}

/** The identity of this process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, start: processStart(process.pid) ?? "", boot: bootId() };
}

/** Return whether a process of this machine still runs. */
export function isAlive({ pid, start, boot }: ProcessIdentity): boolean {
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

/**
 * Settle in the directory where commands run by default and relative paths start. This process stays where it was
 * started, which is the home of the login user, as in Ansible. A user who cannot read that directory goes to their own
 * home, or else to `/`; so does everybody with `stays` false.
 */
export function settleWorkingDirectory(home: string | undefined, stays = true): void {
  try {
    if (stays) return accessSync(process.cwd(), constants.R_OK | constants.X_OK);
  } catch {
    // The home of another user, or a directory that has been removed.
  }
  for (const directory of [home, "/"]) {
    try {
      if (directory !== undefined) return process.chdir(directory);
    } catch {
      // Try the next one.
    }
  }
}

/** A watch that this process does not end before its work has. */
export interface EventLoopWatch {
  /** Rejects with `STARVED` when nothing is left that could bring the work on: Node would end the process with exit code 0. */
  readonly starved: Promise<never>;
  close(): void;
}

/** Begin to watch the event loop, by the event `beforeExit` of the process. */
export function watchEventLoop(work: string): EventLoopWatch {
  let onDry!: () => void;
  const starved = new Promise<never>((_, reject) => {
    onDry = () =>
      reject(
        new VolleyError("STARVED", `${work} has not ended, and nothing is left that it waits for`, {
          hint: "the code of a role that awaits a promise nobody keeps does this; otherwise it is a fault in Volley: please report it",
        }),
      );
  });
  starved.catch(() => {});
  process.once("beforeExit", onDry);
  return { starved, close: () => process.off("beforeExit", onDry) };
}
