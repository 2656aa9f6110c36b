import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";

/** The file meant by `dest`: with `name` added when it ends with `/` or is a directory, as for Ansible's copy and template. */
export async function destinationFile(system: ReadSystem, dest: string, name: string): Promise<string> {
  if (!dest.endsWith("/") && (await system.stat(dest))?.type !== "directory") return dest;
  if (name === "")
    throw new VolleyError("ACTION_FAILED", `${dest} is a directory; name the file the content goes to`);
  return posix.join(dest, name);
}
