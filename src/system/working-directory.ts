import { accessSync, constants } from "node:fs";

/**
 * Where commands run that are not told where, and where relative paths begin: this process stays where it was started,
 * which is the home of who is logged in, as Ansible has it. A user who cannot read that goes home, or else to `/`; so
 * does everybody with `stays` false.
 */
export function settleWorkingDirectory(home: string | undefined, stays = true): void {
  try {
    if (stays) return accessSync(process.cwd(), constants.R_OK | constants.X_OK);
  } catch {
    // Another user's home, or one that has been removed.
  }
  for (const directory of [home, "/"]) {
    try {
      if (directory !== undefined) return process.chdir(directory);
    } catch {
      // The next one.
    }
  }
}
