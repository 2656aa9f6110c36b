import type { Bundle } from "../bundle/build.ts";
import { VolleyError } from "../core/errors.ts";
import type { CarriedHost } from "../core/manifest.ts";
import { makeJob, planHosts } from "./plan.ts";
import { preparePlaybook } from "./playbook.ts";
import { preflight } from "./preflight.ts";
import { readInventory } from "./read-inventory.ts";

/** What a bundle to be carried is made from. */
export interface CarryOptions {
  readonly playbook: string;
  readonly cwd: string;
  /** Without one, the bundle knows no hosts and no vars. */
  readonly inventory?: readonly string[];
  readonly limit?: string;
}

/** Makes a bundle that is carried to its hosts and run there with `--local`: it holds their vars, and no other host's. */
export async function carryBundle({
  playbook,
  cwd,
  inventory: paths,
  limit,
}: CarryOptions): Promise<Bundle & { readonly hosts: readonly string[] }> {
  const prepared = await preparePlaybook(playbook, cwd);
  if (paths === undefined) {
    if (limit !== undefined)
      throw new VolleyError("USAGE", "--limit picks hosts of an inventory: name one with -i");
    return { ...(await prepared.bundle({ vars: [] })), hosts: [] };
  }
  const { inventory, select } = await readInventory(paths, { cwd, playbookDirectory: prepared.directory });
  const plan = planHosts(prepared.playbook, inventory, (pattern) => select(pattern, limit));
  try {
    await preflight({ plays: plan.plays, assets: prepared.assets, groups: plan.groups, check: false });
  } catch (thrown) {
    throw prepared.locate(thrown);
  }
  const hosts: Record<string, CarriedHost> = {};
  for (const host of plan.hosts) {
    const { groups, vars, plays, inventoryGroups, hostVars } = makeJob(host, plan, {
      check: false,
      diff: false,
      tags: [],
      skipTags: [],
      barriers: false,
    });
    hosts[host.name] = { groups, vars, plays, inventoryGroups, hostVars };
  }
  return {
    ...(await prepared.bundle({ hosts, vars: plan.hosts.map(({ vars }) => vars) })),
    hosts: Object.keys(hosts),
  };
}
