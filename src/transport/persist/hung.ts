import * as fs from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { VolleyError } from "../../core/errors.ts";
import { openOwnFiles } from "../../system/own-files.ts";
import { isAlive, type ProcessIdentity, thisProcess } from "../../system/this-process.ts";

// A background process says beside its socket which process it is, for the day on which it does not answer.

/** The words of the command line that the background process was started with. */
export const SERVE = ["persist", "serve"] as const;

const KILLED_MS = 5_000;
const LOOK_MS = 20;

/** Write down that this process listens on a socket. */
export function recordProcess(path: string): void {
  openOwnFiles(fs, dirname(path), ".").write(recordOf(path), JSON.stringify(thisProcess()));
}

/** Remove what {@link recordProcess} has written. */
export function forgetProcess(path: string): void {
  fs.rmSync(`${dirname(path)}/${recordOf(path)}`, { force: true });
}

function recordOf(path: string): string {
  return `${basename(path, ".sock")}.process`;
}

/** Return the background process of a socket; undefined where no process is sure to be the one. */
export function processBehind(path: string): ProcessIdentity | undefined {
  const written = openOwnFiles(fs, dirname(path), ".").read(recordOf(path));
  if (written === undefined) return undefined;
  try {
    const identity = JSON.parse(written.toString("utf8")) as ProcessIdentity;
    const words = fs.readFileSync(`/proc/${identity.pid}/cmdline`, "utf8").split("\0");
    return isAlive(identity) && SERVE.every((word) => words.includes(word)) ? identity : undefined;
  } catch {
    return undefined;
  }
}

/** The error of a background process that does not answer on its socket; `stop` says how it is ended. */
export function hungError(path: string, stop = "volley persist stop ends it"): VolleyError {
  const { pid } = processBehind(path) ?? {};
  if (pid === undefined)
    return new VolleyError("TIMEOUT", "the background process does not answer", {
      hint: `end the process that ps shows as "${SERVE.join(" ")}", or remove ${path}: the next command starts another`,
    });
  const isStopped = isHalted(pid);
  return new VolleyError(
    "TIMEOUT",
    `the background process ${pid} does not answer${isStopped ? ": it is halted (SIGSTOP)" : ""}`,
    { hint: isStopped ? `kill -CONT ${pid} lets it go on; ${stop}` : stop },
  );
}

/** Return whether a process was stopped by a signal, or by a debugger. */
function isHalted(pid: number): boolean {
  try {
    return /^State:\s*[Tt]/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Kill the background process of a socket, which does not answer; returns its number. Fails with `TIMEOUT`. */
export async function killHung(path: string): Promise<number> {
  const identity = processBehind(path);
  if (identity === undefined) throw hungError(path);
  const { pid } = identity;
  const socket = fs.statSync(path, { throwIfNoEntry: false })?.ino;
  process.kill(pid, "SIGKILL");
  for (const until = performance.now() + KILLED_MS; isAlive(identity); await sleep(LOOK_MS))
    if (performance.now() > until) throw hungError(path, `the kernel holds it: see kill -KILL ${pid}`);
  // Another process may listen there by now.
  if (socket !== undefined && fs.statSync(path, { throwIfNoEntry: false })?.ino === socket) {
    fs.rmSync(path, { force: true });
    forgetProcess(path);
  }
  return pid;
}
