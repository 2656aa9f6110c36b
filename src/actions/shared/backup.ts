import type { System } from "../../core/system.ts";

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Where a file's backup goes, named as Ansible names it: `PATH.PID.YYYY-MM-DD@HH:MM:SS~`, in local time. */
export function backupPath(path: string, now: Date, pid: number): string {
  const date = [now.getFullYear(), twoDigits(now.getMonth() + 1), twoDigits(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(twoDigits).join(":");
  return `${path}.${pid}.${date}@${time}~`;
}

/** Copies a file beside itself with its owner, times and mode but setuid and setgid, which would keep an old program usable; gives the copy's path, or undefined when there is no file. */
export async function makeBackup(system: System, path: string): Promise<string | undefined> {
  const stat = await system.stat(path);
  if (stat?.type !== "file") return undefined;
  const backup = backupPath(path, new Date(), process.pid);
  const { mode, uid, gid } = stat;
  await system.writeFile(backup, { copyOf: path }, { mode: mode & 0o777, uid, gid });
  await system.setTimes(backup, stat.atimeMs, stat.mtimeMs);
  return backup;
}
