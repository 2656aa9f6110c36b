import type { Stats } from "node:fs";
import { chmod, chown, type FileHandle, lchown, lutimes, truncate, utimes } from "node:fs/promises";
import type { SftpAttributes } from "./sftp-protocol.ts";
import { systemError } from "./sftp-status.ts";

/** A file's attributes as SFTP sends them. */
export function toAttributes(stats: Stats): SftpAttributes {
  return {
    size: stats.size,
    owner: { uid: stats.uid, gid: stats.gid },
    mode: stats.mode,
    times: { accessed: Math.trunc(stats.atimeMs / 1000), modified: Math.trunc(stats.mtimeMs / 1000) },
  };
}

/** Sets attributes of what a path leads to, in the order sftp-server does. */
export async function setAttributes(path: string, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) await truncate(path, size);
  if (mode !== undefined) await chmod(path, mode & 0o7777);
  if (times !== undefined) await utimes(path, times.accessed, times.modified);
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
}

/** Sets attributes of an open file. */
export async function setFileAttributes(file: FileHandle, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) await file.truncate(size);
  if (mode !== undefined) await file.chmod(mode & 0o7777);
  if (times !== undefined) await file.utimes(times.accessed, times.modified);
  if (owner !== undefined) await file.chown(owner.uid, owner.gid);
}

/** Sets attributes of a link itself (lsetstat@openssh.com); a size or mode of a link cannot be set on Linux. */
export async function setLinkAttributes(path: string, attributes: SftpAttributes): Promise<void> {
  const { size, mode, times, owner } = attributes;
  if (size !== undefined) throw systemError("EINVAL");
  if (mode !== undefined) throw systemError("ENOTSUP");
  if (times !== undefined) await lutimes(path, times.accessed, times.modified);
  if (owner !== undefined) await lchown(path, owner.uid, owner.gid);
}

/** A directory entry as `ls -l` shows it, which is what people see in an SFTP client's listing. */
export function longName(name: string, stats: Stats): string {
  const columns = [
    modeText(stats),
    String(stats.nlink).padStart(4),
    String(stats.uid).padEnd(8),
    String(stats.gid).padEnd(8),
    String(stats.size).padStart(8),
    timeText(stats.mtime),
  ];
  return `${columns.join(" ")} ${name}`;
}

function modeText(stats: Stats): string {
  const type = stats.isDirectory() ? "d" : stats.isSymbolicLink() ? "l" : stats.isFile() ? "-" : "?";
  const bits = [..."rwxrwxrwx"].map((letter, index) => (stats.mode & (0o400 >> index) ? letter : "-"));
  return type + bits.join("");
}

function timeText(time: Date): string {
  const month = time.toLocaleString("en-US", { month: "short" });
  const day = String(time.getDate()).padStart(2);
  const clock = [time.getHours(), time.getMinutes()].map((part) => String(part).padStart(2, "0")).join(":");
  return `${month} ${day} ${clock}`;
}
