import type { ProcessResult, Stat } from "../core/system.ts";
import { typeOf } from "./looks.ts";

/** Runs a command. */
type Run = (argv: readonly string[]) => Promise<ProcessResult>;

/**
 * Looks at a path by stat(1) of GNU or BusyBox, which tells what SFTP does not: inode, device, links, and fractions of
 * a second. Undefined where there is no such command, or it cannot look.
 */
export async function exactStat(run: Run, path: string, follow: boolean): Promise<Stat | undefined> {
  const format = "%f %u %g %s %i %d %h %X %Y|%x|%y";
  const argv = ["stat", ...(follow ? ["-L"] : []), "-c", format, path];
  const { code, stdout } = await run(argv).catch(() => ({ code: 127, stdout: "" }));
  const match = /^([0-9a-f]+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (-?\d+) (-?\d+)\|(.*)\|(.*)$/m.exec(stdout);
  if (code !== 0 || match === null) return undefined;
  const [, hex = "", uid, gid, size, inode, device, links, atime, mtime, atimeText = "", mtimeText = ""] =
    match;
  const mode = Number.parseInt(hex, 16);
  return {
    type: typeOf(mode),
    mode: mode & 0o7777,
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    mtimeMs: milliseconds(mtime, mtimeText),
    atimeMs: milliseconds(atime, atimeText),
    inode: Number(inode),
    device: Number(device),
    links: Number(links),
  };
}

/** Seconds, with the fraction from a text such as `2026-11-22 10:00:00.123456789 +0000`, as Node makes milliseconds of it. */
function milliseconds(seconds: string | undefined, text: string): number {
  const fraction = /\.(\d{1,9})/.exec(text)?.[1]?.padEnd(9, "0") ?? "0";
  return Number(seconds) * 1000 + Number(fraction) / 1e6;
}
