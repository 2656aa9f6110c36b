import { execFileSync, spawnSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";

/** Is mtools here, which writes FAT images? */
export const hasMtools = spawnSync("mcopy", ["--version"]).error === undefined;

/** Make a FAT file system in a file, at an offset in bytes, with some files; returns the path. */
export function makeFatImage(
  path: string,
  files: Readonly<Record<string, string>>,
  { megabytes = 40, offset = 0 }: { readonly megabytes?: number; readonly offset?: number } = {},
): string {
  writeFileSync(path, "");
  truncateSync(path, megabytes * 1024 * 1024 + offset);
  const drive = ["-i", `${path}@@${offset}`];
  execFileSync("mformat", [...drive, "-T", String((megabytes * 1024 * 1024) / 512), "::"]);
  for (const [name, text] of Object.entries(files))
    execFileSync("mcopy", [...drive, "-", `::${name}`], { input: text });
  return path;
}
