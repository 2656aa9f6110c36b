import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** Name of the environment variable by which a fleet finds the processes its sessions left behind. */
export const fleetVariable = "VOLLEY_EMBEDDED_FLEET";

/** The processes that a fleet's sessions started. */
export interface ProcessRegistry {
  /** Remembers the leader of a process group. */
  add(child: ChildProcess): void;
  /** Kills every process group and, on Linux, whatever left its group but kept its environment. */
  killAll(): Promise<void>;
}

/** Keeps track of the process groups of a fleet with this id. */
export function createProcessRegistry(fleetId: string): ProcessRegistry {
  const groups = new Map<number, Promise<void>>();
  return {
    add(child) {
      const { pid } = child;
      if (pid === undefined) return;
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      groups.set(pid, exited);
      // A group outlives its leader when something runs in the background.
      void exited.then(() => !signalGroup(pid, 0) && groups.delete(pid));
    },
    async killAll() {
      const waits = [...groups].map(([pid, exited]) => {
        signalGroup(pid, "SIGKILL");
        return exited;
      });
      await Promise.race([Promise.all(waits), sleep(5_000, undefined, { ref: false })]);
      groups.clear();
      await killStrays(fleetId);
    },
  };
}

/** Sends a signal to a process group; false when it has no process any more. */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-leader, signal);
  } catch {
    return false;
  }
}

async function killStrays(fleetId: string): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const strays = await findStrays(fleetId);
    if (strays.length === 0) return;
    for (const pid of strays) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself in the meantime.
      }
    }
    await sleep(10);
  }
}

async function findStrays(fleetId: string): Promise<readonly number[]> {
  const entries = await readdir("/proc").catch(() => []);
  const marker = `${fleetVariable}=${fleetId}\0`;
  const checks = entries
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map(async (entry) => {
      const environment = await readFile(`/proc/${entry}/environ`, "latin1").catch(() => "");
      return environment.includes(marker) ? Number(entry) : undefined;
    });
  return (await Promise.all(checks)).filter((pid) => pid !== undefined);
}
