import { basename } from "node:path";
import { factVariables } from "../agent/facts/variables.ts";
import type { Facts } from "../core/facts.ts";
import { LATE, type Vars } from "../core/json.ts";
import { restoreVars } from "../core/plain-vars.ts";
import type { Job } from "../core/protocol.ts";
import type { RoleUse } from "../core/role.ts";
import { createScope, extendScope, type RenderVar, SELF, type VarLayer } from "../vars/scope.ts";

/** The vars every template of a host sees, whatever the role: Ansible's magic names over facts over the inventory's. */
export function hostVariables(job: Job, facts: Facts, render: RenderVar): Vars {
  const magic = {
    ...magicVariables(job.host, job),
    group_names: [...job.groups].sort(),
    get hostvars(): Vars {
      return hostvars;
    },
    vars: SELF,
  };
  const scope = createScope(
    [
      {
        vars: {
          ansible_managed: "Volley managed",
          ansible_check_mode: job.options.check,
          ansible_diff_mode: job.options.diff,
        },
      },
      inventoryLayer(job, job.vars),
      { vars: factVariables(facts) },
      { vars: magic },
    ],
    render,
  );
  const hostvars = hostVarsOf(job, scope, render);
  return scope;
}

/** What every host is told of itself and of the inventory. */
export function magicVariables(host: string, { inventoryGroups }: Pick<Job, "inventoryGroups">): Vars {
  return {
    inventory_hostname: host,
    inventory_hostname_short: host.split(".")[0],
    ...(inventoryGroups === undefined ? {} : { groups: inventoryGroups }),
  };
}

/** What an inventory says of a host: its texts are templates, unless they are marked as data. */
function inventoryLayer({ sources = {} }: Job, vars: Vars): VarLayer {
  return {
    vars,
    origin: (name) => ({ name, ...(Object.hasOwn(sources, name) ? sources[name] : undefined) }),
  };
}

/** Every host's vars as others see them: each host's templates are rendered with its own. */
function hostVarsOf(job: Job, own: Vars, render: RenderVar): Vars {
  const all = Object.defineProperty({}, LATE, { value: true });
  for (const [host, vars] of Object.entries(job.hostVars)) {
    let scope: Vars | undefined;
    const get = (): Vars => {
      scope ??= createScope([inventoryLayer(job, vars), { vars: magicVariables(host, job) }], render);
      return scope;
    };
    Object.defineProperty(all, host, { get, enumerable: true, configurable: true });
  }
  return Object.defineProperty(all, job.host, { value: own, enumerable: true, configurable: true });
}

/** The vars a role's templates see: the host's under the play's under the role's `checked` ones; these are data. */
export function roleVariables(host: Vars, play: Vars, use: RoleUse, checked: Vars): Vars {
  // A role without a schema has its host's vars, which stay the templates they are.
  const roleVars = use.role.vars === undefined ? use.vars : checked;
  // What the role has from its host templates see as it was written; what it was given is not asked of the host.
  const written = (name: string): unknown =>
    Object.hasOwn(use.vars, name) || Object.hasOwn(play, name) ? undefined : host[name];
  return extendScope(host, restoreVars(play), restoreVars(roleVars, written), {
    role_name: use.role.name,
    ...(use.role.directory === undefined
      ? {}
      : { role_path: use.role.directory, role_directory: basename(use.role.directory) }),
  });
}
