import { chmodSync, copyFileSync, existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { fileReason } from "../core/unix/user-file.ts";
import { makeDirectories } from "../system/directories.ts";
import type { RoleSource } from "./role-source.ts";
import type { ConvertedRole } from "./role-to-ts.ts";

/**
 * Write a converted role to a directory, with its files and templates. Fails with `USAGE` for a directory that holds
 * anything, unless `replaces`, and with `FILE_FAILED`.
 */
export function writeConverted(
  { texts, copies }: ConvertedRole,
  { role: { directory } }: RoleSource,
  output: string,
  replaces: boolean,
): readonly string[] {
  if (!replaces && existsSync(output) && (!statSync(output).isDirectory() || readdirSync(output).length > 0))
    throw new VolleyError("USAGE", `${output} is there already`, {
      hint: "name a new directory, or replace the files in this one with --force",
    });
  try {
    for (const path of copies) {
      const [from, to] = [join(directory, path), join(output, path)];
      makeDirectories(dirname(to));
      copyFileSync(from, to);
      chmodSync(to, statSync(from).mode & 0o777);
    }
    for (const [path, text] of Object.entries(texts)) {
      const to = join(output, path);
      makeDirectories(dirname(to));
      writeFileSync(to, text);
    }
  } catch (cause) {
    throw new VolleyError("FILE_FAILED", `${output} cannot be written: ${fileReason(cause)}`, { cause });
  }
  return [...Object.keys(texts), ...copies].sort();
}
