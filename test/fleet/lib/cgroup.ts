import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The control group all fleets of this machine live under. */
const parentGroup = "volley-fleet";

function hierarchies(): string[] {
  const base = "/sys/fs/cgroup";
  if (existsSync(join(base, "cgroup.controllers"))) return [base];
  return ["systemd", "unified"].map((name) => join(base, name)).filter((path) => existsSync(path));
}

/**
 * Make a control group and return its folder in each hierarchy. Each host needs one of its own: where no
 * systemd runs the machine, all containers would otherwise share one, and stop each other's services.
 */
export function makeControlGroup(name: string): string[] {
  return hierarchies().map((base) => {
    const folder = join(base, parentGroup, name);
    mkdirSync(folder, { recursive: true });
    return folder;
  });
}

/** Stop (or let go on) all processes of a container in a control group, as when a machine hangs. */
export function freezeControlGroup(name: string, frozen: boolean): void {
  const switches = controlGroupFolders(name)
    // systemd-nspawn itself stays awake, to notice when its frozen container is killed.
    .map((folder) => join(folder, "payload", "cgroup.freeze"))
    .filter((path) => existsSync(path));
  if (switches.length === 0) throw new Error(`${name} is not running, or this machine has no cgroup v2`);
  for (const path of switches) writeFileSync(path, frozen ? "1" : "0");
}

/** The processes of a control group and of those within it. */
export function processesOfControlGroup(name: string): number[] {
  const pids = controlGroupFolders(name)
    .flatMap(foldersWithin)
    .flatMap((folder) => unlessRemoved(() => readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n")))
    .filter((line) => line !== "" && line !== "0");
  return [...new Set(pids.map(Number))];
}

/** Remove a control group and those within it. A group that still has a process stays. */
export function removeControlGroup(name: string): void {
  for (const folder of controlGroupFolders(name).flatMap(foldersWithin).reverse()) {
    try {
      rmdirSync(folder);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "EBUSY" && code !== "ENOENT") throw error;
    }
  }
}

function controlGroupFolders(name: string): string[] {
  return hierarchies()
    .map((base) => join(base, parentGroup, name))
    .filter((folder) => existsSync(folder));
}

/** A folder and all those within it, outer ones first. */
function foldersWithin(folder: string): string[] {
  return [folder, ...innerFolders(folder).flatMap((name) => foldersWithin(join(folder, name)))];
}

function innerFolders(folder: string): string[] {
  return unlessRemoved(() => readdirSync(folder, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

/** Read from a control group; nothing, if its machine has removed the group meanwhile, as a machine that ends does. */
function unlessRemoved<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // ENODEV: the file was open, or looked up, as its group went (kernfs).
    if (code === "ENOENT" || code === "ENODEV") return [];
    throw error;
  }
}

/** The control groups there are, one per fleet. */
export function controlGroupNames(): string[] {
  return [...new Set(controlGroupFolders("").flatMap(innerFolders))];
}
