import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** A path of a socket may have 104 bytes on some systems, and `ssh` adds 17 to it while it makes one. */
const MAX_DIRECTORY = 104 - 17 - 10;

/** Makes a directory that only its owner can enter, short enough for sockets in it. */
export function makePrivateDirectory(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const parents = [...(runtime === undefined || runtime === "" ? [] : [runtime]), join(cache, "volley")];
  for (const parent of parents) {
    if (join(parent, "ssh-XXXXXX").length > MAX_DIRECTORY) continue;
    try {
      mkdirSync(parent, { recursive: true, mode: 0o700 });
      return mkdtempSync(join(parent, "ssh-"));
    } catch {
      // The next one, then.
    }
  }
  // mkdtemp makes it with mode 0700, under a name nobody can know before.
  return mkdtempSync(join(tmpdir(), "volley-ssh-"));
}

/** Removes it and what is in it. */
export function removePrivateDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
