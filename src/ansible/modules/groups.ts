import { readBool } from "../../actions/coerce.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Modules that change the inventory of the run: add_host and group_by.

function listOf(value: unknown): readonly string[] {
  if (value === undefined || value === null || value === "") return [];
  return (Array.isArray(value) ? value : String(value).split(","))
    .map((each) => String(each).trim())
    .filter((each) => each !== "");
}

/** `add_host`: a host, or more groups and vars for one. */
export function addHost({ args, interpreter }: RenderedCall): ModuleEnd {
  const { name, hostname, host, groups, group, groupname, _raw_params: raw, ...vars } = args;
  const given = name ?? hostname ?? host ?? raw;
  if (given === undefined || given === null || given === "")
    throw new VolleyError("PARAMS_INVALID", "name, host or hostname needs to be provided");
  const full = String(given);
  if (/\s/.test(full))
    throw new VolleyError("PARAMS_INVALID", `"${full}" is no name of a host: add_host needs key=value pairs`);
  const [, bare = full, port] = /^([^:]+):(\d+)$/.exec(full) ?? [];
  const wanted = listOf(groups ?? group ?? groupname);
  const own = port === undefined ? vars : { ansible_ssh_port: Number(port), ...vars };
  const changed = interpreter.inventory.addHost(bare, wanted, own);
  interpreter.host.world?.addHost(bare, wanted, own);
  return {
    register: {
      changed,
      failed: false,
      add_host: { host_name: bare, groups: wanted, host_vars: own },
    },
  };
}

/** `group_by`: the host becomes a member of the group that `key` names. */
export function groupBy({ args, interpreter }: RenderedCall): ModuleEnd {
  const { key, parents, _raw_params: raw } = args;
  const given = key ?? raw;
  if (given === undefined)
    throw new VolleyError("PARAMS_INVALID", "the 'key' param is required when using group_by");
  const group = String(given).replaceAll(" ", "-");
  const parentGroups =
    parents === undefined ? ["all"] : listOf(parents).map((each) => each.replaceAll(" ", "-"));
  const { job, world } = interpreter.host;
  const groups = [group, ...parentGroups.filter((each) => each !== "all")];
  const changed = interpreter.inventory.addHost(job.host, groups, {});
  world?.addHost(job.host, groups, {});
  return { register: { changed, failed: false, add_group: group, parent_groups: parentGroups } };
}

/** `fetch`: a file of the host, copied to the controller. */
export async function fetch({ args, interpreter, system, check }: RenderedCall): Promise<ModuleEnd> {
  const {
    src,
    dest,
    flat = false,
    fail_on_missing: failOnMissing = true,
    validate_checksum: _validate,
  } = args;
  if (typeof src !== "string" || typeof dest !== "string")
    throw new VolleyError("PARAMS_INVALID", "src and dest are required");
  const { world } = interpreter.host;
  if (world === undefined) throw new VolleyError("DELEGATE_REFUSED", "fetch needs a controller to copy to");
  const controller = (await world.machine("localhost", {})).systemOf(undefined);
  const stat = await system.stat(src);
  if (stat === null || stat.type === "directory") {
    const msg =
      stat === null
        ? "the remote file does not exist, not transferring, ignored"
        : "remote file is a directory, fetch cannot work on directories";
    if (readBool(failOnMissing) === false)
      return { register: { changed: false, failed: false, file: src, msg } };
    return {
      register: {
        changed: false,
        failed: true,
        file: src,
        msg: stat === null ? "the remote file does not exist" : msg,
      },
    };
  }
  const whole = dest.startsWith("/") ? dest : interpreter.files.fullPath(dest);
  const isFlat = readBool(flat) === true;
  const target = isFlat
    ? dest.endsWith("/")
      ? `${whole.replace(/\/$/, "")}/${src.split("/").at(-1)!}`
      : whole
    : `${whole.replace(/\/$/, "")}/${interpreter.host.job.host}/${src.replace(/^[/~]+/, "")}`;
  const checksum = await system.checksum(src, "sha1");
  const there = await controller.stat(target);
  const before = there?.type === "file" ? await controller.checksum(target, "sha1") : null;
  const md5sum = await system.checksum(src, "md5");
  const result = { checksum, remote_checksum: checksum, md5sum, remote_md5sum: null, dest: target };
  if (before === checksum) return { register: { changed: false, failed: false, ...result, file: src } };
  if (!check) {
    for (const directory of parentsOf(target))
      if ((await controller.stat(directory)) === null) await controller.makeDirectory(directory);
    await controller.writeFile(target, await system.readFile(src));
  }
  return { register: { changed: true, failed: false, ...result } };
}

function parentsOf(path: string): readonly string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}
