import { VolleyError } from "../../core/errors.ts";
import type { Addition } from "../../core/inventory.ts";
import { asData } from "../../core/values/value.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Modules that change the inventory of the run: add_host and group_by.

function listOf(value: unknown): readonly string[] {
  if (value === undefined || value === null || value === "") return [];
  return (Array.isArray(value) ? value : String(value).split(","))
    .map((each) => String(each).trim())
    .filter((each) => each !== "");
}

async function add(
  { inventory, state, host: { world } }: RenderedCall["interpreter"],
  addition: Addition,
): Promise<boolean> {
  const changed = inventory.add(addition);
  if (world !== undefined) inventory.take(await world.extend(addition));
  state.renew();
  return changed;
}

/** `add_host`: a host, or more groups and vars for one. */
export async function addHost({ args, interpreter }: RenderedCall): Promise<ModuleEnd> {
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
  // They are rendered, and may be texts of a host: a later play must not render them again.
  const changed = await add(interpreter, { host: bare, groups: wanted, vars: asData(own) });
  return {
    register: {
      changed,
      failed: false,
      add_host: { host_name: bare, groups: wanted, host_vars: own },
    },
  };
}

/** `group_by`: the host becomes a member of the group that `key` names. */
export async function groupBy({ args, interpreter }: RenderedCall): Promise<ModuleEnd> {
  const { key, parents, _raw_params: raw } = args;
  const given = key ?? raw;
  if (given === undefined)
    throw new VolleyError("PARAMS_INVALID", "the 'key' param is required when using group_by");
  const group = String(given).replaceAll(" ", "-");
  const parentGroups =
    parents === undefined ? ["all"] : listOf(parents).map((each) => each.replaceAll(" ", "-"));
  const changed = await add(interpreter, {
    host: interpreter.host.job.host,
    groups: [group],
    parents: parentGroups.filter((each) => each !== "all"),
    vars: {},
  });
  return { register: { changed, failed: false, add_group: group, parent_groups: parentGroups } };
}
