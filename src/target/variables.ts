import { basename } from "node:path";
import type { Facts } from "../core/facts.ts";
import { mergeVars, type Vars } from "../core/json.ts";
import type { Job } from "../core/protocol.ts";
import type { RoleUse } from "../core/role.ts";
import { factVariables } from "./facts/variables.ts";

/** The vars every template of a host sees, whatever the role: facts, the host's own, and Ansible's magic names. */
export function hostVariables(job: Job, own: Vars, facts: Facts): Vars {
  const before = {
    ...factVariables(facts),
    ansible_managed: "Volley managed",
    ansible_check_mode: job.options.check,
    ansible_diff_mode: job.options.diff,
  };
  const magic = {
    inventory_hostname: job.host,
    inventory_hostname_short: job.host.split(".")[0],
    group_names: job.groups,
    groups: job.inventoryGroups,
    hostvars: { ...job.hostVars, [job.host]: own },
    vars: own,
  };
  return mergeVars(before, own, magic);
}

/** The vars a role's templates see: the host's under the play's under the role's. */
export function roleVariables(host: Vars, play: Vars, use: RoleUse, roleVars: Vars): Vars {
  return mergeVars(host, play, roleVars, {
    role_name: use.role.name,
    ...(use.role.directory === undefined
      ? {}
      : { role_path: use.role.directory, role_directory: basename(use.role.directory) }),
  });
}
