import { randomBytes } from "node:crypto";
import { readlinkSync, realpathSync, renameSync, rmSync, type Stats, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { cannotWrite } from "./terminal.ts";

/** The way to write a file that the user names. */
interface OutputFile {
  /** Mode of a new file, less the umask. */
  readonly mode: number;
  /** True: a file that is there gets this mode too; default: it keeps its own. */
  readonly replacesMode?: boolean;
  /** Added to the error. */
  readonly hint?: string;
}

/**
 * Write a file that the user names with `-o` or the like; `-` is standard output. A regular file is written under a
 * temporary name and renamed, so that no half of one is left, or in place where
 * its directory takes no new file; links are followed. Devices and FIFOs are written to, not
 * replaced. Fails with `FILE_FAILED`.
 */
export function writeOutput(path: string, data: string | Uint8Array, output: OutputFile): void {
  if (path === "-") {
    process.stdout.write(data);
    return;
  }
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined && !stats.isFile()) writeFileSync(path, data);
    else
      try {
        writeWhole(targetOf(path), data, modeOf(stats, output));
      } catch (thrown) {
        if (stats === undefined || output.replacesMode === true || !isKeptInPlace(thrown)) throw thrown;
        writeFileSync(path, data);
      }
  } catch (thrown) {
    throw cannotWrite(path, thrown, output.hint);
  }
}

/** True where the directory takes no new file, or the file is a mount: its content alone may be changed. */
function isKeptInPlace(thrown: unknown): boolean {
  return ["EACCES", "EPERM", "EBUSY"].includes((thrown as NodeJS.ErrnoException).code ?? "");
}

function modeOf(stats: Stats | undefined, { mode, replacesMode = false }: OutputFile): number {
  return stats === undefined || replacesMode ? mode : stats.mode & 0o777;
}

/** Follow links, also to where nothing is yet. */
function targetOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
  }
  let link: string;
  try {
    link = readlinkSync(path);
  } catch {
    return path;
  }
  return targetOf(resolve(dirname(path), link));
}

function writeWhole(path: string, data: string | Uint8Array, mode: number): void {
  const temporary = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    writeFileSync(temporary, data, { mode, flag: "wx" });
    renameSync(temporary, path);
  } catch (thrown) {
    // Below a path that is no directory there is nothing to remove, and rmSync would fail.
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTDIR") rmSync(temporary, { force: true });
    throw thrown;
  }
}
