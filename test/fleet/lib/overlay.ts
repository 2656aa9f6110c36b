import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Put a writable layer of its own over shared ones, of which the first is on top, in `folder`; returns the path all are seen at. */
export function mountOverlay(shared: readonly string[], folder: string): string {
  const [upper, work, merged] = ["upper", "work", "merged"].map((name) => join(folder, name));
  for (const path of [upper, work, merged]) mkdirSync(path!, { recursive: true, mode: 0o755 });
  // volatile: nothing here outlives the fleet, so no fsync in a host needs to reach the disk.
  const options = `lowerdir=${shared.join(":")},upperdir=${upper},workdir=${work},volatile`;
  execFileSync("mount", ["-t", "overlay", "volley-fleet", "-o", options, merged!]);
  return merged!;
}

/** Unmount everything mounted below a folder, and remove it. */
export function removeMountsAndFolder(folder: string): void {
  for (const path of mountsBelow(folder).reverse()) {
    try {
      execFileSync("umount", [path], { stdio: "ignore" });
    } catch {
      // Someone stands in it: it goes once they leave.
      execFileSync("umount", ["--lazy", path]);
    }
  }
  rmSync(folder, { recursive: true, force: true });
}

/** The mount points below a folder, in the order they were mounted. */
export function mountsBelow(folder: string): string[] {
  return readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((path) => path.startsWith(`${folder}/`));
}
