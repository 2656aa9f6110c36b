import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";

/** A playbook's file and the directory paths are relative to. */
export interface Project {
  /** Absolute. */
  readonly file: string;
  /** The nearest directory above the file with a package.json, else the file's own. */
  readonly directory: string;
}

/** Finds a playbook's project. Fails with `PLAYBOOK_MISSING`, or with `BUNDLE_INVALID` when it is a bundle already. */
export function findProject(playbook: string, cwd: string): Project {
  const file = resolve(cwd, playbook);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new VolleyError("PLAYBOOK_MISSING", `there is no playbook ${playbook}`, {
      hint: `looked for ${file}`,
    });
  }
  if (!stats.isFile()) throw new VolleyError("PLAYBOOK_MISSING", `${playbook} is not a file`);
  if (!/\.[cm]?[jt]sx?$/.test(file)) {
    throw new VolleyError("BUNDLE_INVALID", `${playbook} is not a TypeScript playbook`, {
      hint: file.endsWith(".run")
        ? "it looks like a bundle; a bundle cannot be bundled again: give the playbook it was made from"
        : "a playbook's name ends in .ts or .js",
    });
  }
  let directory = dirname(file);
  for (let above = directory; above !== dirname(above); above = dirname(above)) {
    if (!existsSync(join(above, "package.json"))) continue;
    directory = above;
    break;
  }
  return { file, directory };
}
