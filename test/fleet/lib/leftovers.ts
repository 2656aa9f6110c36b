import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { controlGroupNames, processesOfControlGroup, removeControlGroup } from "./cgroup.ts";
import { removeMountsAndFolder } from "./overlay.ts";
import { startTime } from "./process-table.ts";

/** Where the writable layers of running fleets are. */
const fleetsFolder = "/var/tmp/volley-fleet";

/** Where systemd-nspawn keeps a folder per container, and leaves it when killed. */
const propagateFolder = "/run/systemd/nspawn/propagate";

/** A new fleet's id and folder. The id says which process owns it, so that nobody else takes it for a leftover. */
export function makeFleetFolder(): { readonly id: string; readonly folder: string } {
  const id = `${process.pid}-${startTime(process.pid)}-${randomBytes(3).toString("hex")}`;
  const folder = join(fleetsFolder, id);
  // Only root may look in: it has the fleet's private key.
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return { id, folder };
}

/** The name systemd-nspawn knows a host by; unlike the host's own name, no other fleet has it. */
export function machineName(fleetId: string, hostName: string): string {
  return `volley-${fleetId}-${hostName}`;
}

/** End what is left of a fleet's processes, unmount its hosts, remove its files. Safe to repeat. */
export function removeFleet(id: string): void {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const alive = processesOfControlGroup(id).filter((pid) => startTime(pid) !== undefined);
    if (alive.length === 0 || Date.now() > deadline) break;
    for (const pid of alive) killIfAlive(pid);
    sleepSync(20);
  }
  removeControlGroup(id);
  removeMountsAndFolder(join(fleetsFolder, id));
  for (const name of listFolder(propagateFolder)) {
    if (name.startsWith(machineName(id, ""))) {
      rmSync(join(propagateFolder, name), { recursive: true, force: true });
    }
  }
}

/** Remove the fleets whose process ended without doing so (killed, out of memory); returns their ids. */
export function removeLeftovers(): string[] {
  const all = new Set([...listFolder(fleetsFolder), ...controlGroupNames()]);
  const dead = [...all].filter((id) => {
    const [pid, started] = id.split("-");
    return startTime(Number(pid)) !== started;
  });
  for (const id of dead) removeFleet(id);
  return dead;
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

function sleepSync(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
