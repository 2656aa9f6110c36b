import { posix } from "node:path";
import { readBool } from "../../actions/coerce.ts";
import { expandPath } from "../../actions/shared/paths.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { System } from "../../core/system.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

/** `fetch`: a file of the host, copied to the controller. */
export async function fetch({ args, interpreter, system, check }: RenderedCall): Promise<ModuleEnd> {
  const { src, dest, flat = false, fail_on_missing: failOnMissing = true } = args;
  if (check) {
    const msg = "check mode not (yet) supported for this module";
    return { register: { changed: false, failed: false, skipped: true, msg } };
  }
  for (const [name, value] of Object.entries({ source: src, dest }))
    if (value !== undefined && value !== null && typeof value !== "string")
      throw new VolleyError(
        "PARAMS_INVALID",
        `Invalid type supplied for ${name} option, it must be a string`,
      );
  if (typeof src !== "string" || typeof dest !== "string")
    throw new VolleyError("PARAMS_INVALID", "src and dest are required");
  const { world } = interpreter.host;
  if (world === undefined) throw new VolleyError("DELEGATE_REFUSED", "fetch needs a controller to copy to");
  const controller = (await world.machine("localhost", {})).systemOf(undefined);
  const source = await expandPath(system, src);
  const problem = await problemOf(system, source);
  if (problem !== undefined) {
    const fails = readBool(failOnMissing) !== false;
    // As in Ansible, a file that is missing is said to be ignored, also where the task fails for it.
    const msg = fails && problem !== MISSING ? problem : `${problem}, not transferring, ignored`;
    return { register: { changed: false, failed: fails, ...(fails ? {} : { file: src }), msg } };
  }
  const whole = dest.startsWith("/") ? dest : interpreter.files.fullPath(dest);
  const isFlat = readBool(flat) === true;
  if (isFlat && !dest.endsWith("/") && (await controller.stat(whole))?.type === "directory")
    throw new VolleyError(
      "ACTION_FAILED",
      "dest is an existing directory, use a trailing slash if you want to fetch src into that directory",
    );
  const target = posix.normalize(
    isFlat
      ? dest.endsWith("/")
        ? posix.join(whole, posix.basename(source))
        : whole
      : posix.join(whole, interpreter.host.job.host, source),
  );
  const checksum = await system.checksum(source, "sha1");
  const there = await controller.stat(target);
  const before = there?.type === "file" ? await controller.checksum(target, "sha1") : null;
  const md5sum = await system.checksum(source, "md5");
  const result = { checksum, md5sum, dest: target };
  if (before === checksum) return { register: { changed: false, failed: false, ...result, file: src } };
  for (const directory of parentsOf(target))
    if ((await controller.stat(directory)) === null) await controller.makeDirectory(directory);
  await controller.writeFile(target, await system.readFile(source));
  const remote = { remote_checksum: checksum, remote_md5sum: null };
  return { register: { changed: true, failed: false, ...result, ...remote } };
}

const MISSING = "the remote file does not exist";

/** Say why a file cannot be fetched; undefined when it can. */
async function problemOf(system: System, source: string): Promise<string | undefined> {
  try {
    const stat = await system.stat(source);
    if (stat === null) {
      // A directory that may not be entered hides what is in it.
      const above = await system.stat(posix.dirname(source));
      if (above?.type === "directory" && !(await mayEnter(system, posix.dirname(source))))
        return `file is not readable: ${source}: Permission denied`;
      return MISSING;
    }
    return stat.type === "directory"
      ? "remote file is a directory, fetch cannot work on directories"
      : undefined;
  } catch (thrown) {
    return `file is not readable: ${source}: ${messageOf(thrown)}`;
  }
}

async function mayEnter(system: System, directory: string): Promise<boolean> {
  return (await system.query(["test", "-x", directory])).code === 0;
}

function parentsOf(path: string): readonly string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
