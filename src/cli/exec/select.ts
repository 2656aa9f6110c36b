import { isVolleyError } from "../../core/errors.ts";
import type { Host, Inventory } from "../../core/inventory.ts";
import { type LoadInventoryOptions, loadInventory } from "../../inventory/load.ts";
import { parseNodeSet } from "../../inventory/node-set.ts";
import { limitHosts, nobodyLeft, selectHosts } from "../../inventory/select.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import type { ExecFlags, ExecWords } from "../exec-command.ts";
import { inventoryPaths } from "../options.ts";
import { expandLimit } from "../past-runs.ts";

/**
 * The hosts that are meant, in the pattern's order. Where there is no inventory, the names themselves are: ssh_config
 * then says how to reach them. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`.
 */
export async function hostsToWorkOn(
  { hosts }: Pick<ExecWords, "hosts">,
  flags: Pick<ExecFlags, "inventory" | "limit">,
  secrets: SecretStore,
): Promise<readonly Host[]> {
  const pattern = await expandLimit(hosts ?? "all");
  const limit = await expandLimit(flags.limit);
  const select = (inventory: Inventory): readonly Host[] => {
    const selected = selectHosts(inventory, pattern);
    return limit === undefined ? selected : limitHosts(selected, inventory, limit, { cwd: process.cwd() });
  };
  const names = hosts === undefined ? (limit ?? pattern) : pattern;
  const inventory = await openInventory(flags, names, { secrets, concerned: select });
  for (const warning of inventory.warnings ?? []) process.stderr.write(`volley: warning: ${warning}\n`);
  const found = select(inventory);
  if (found.length === 0) throw nobodyLeft([pattern], limit, inventory);
  // How a host is reached may stand in what could not be opened.
  for (const { locked = [] } of found) for (const why of locked) throw why;
  return found;
}

async function openInventory(
  flags: Pick<ExecFlags, "inventory">,
  names: string,
  how: Pick<LoadInventoryOptions, "secrets" | "concerned">,
): Promise<Inventory> {
  const options = {
    ...how,
    cwd: process.cwd(),
    // What compiles an inventory in TypeScript takes longer to load than most commands take.
    loadModule: async (file: string) =>
      (await import("../../controller/prepare/read.ts")).loadInventoryModule(file),
  };
  let paths: readonly string[];
  try {
    paths = inventoryPaths(flags);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "INVENTORY_MISSING") throw thrown;
    if (!isNodeSet(names)) throw thrown;
    paths = [`${parseNodeSet(names).join(",")},`];
  }
  return loadInventory(paths, options);
}

/** Whether a text can only be names of hosts: `all`, globs and `:!` are about an inventory. */
function isNodeSet(text: string): boolean {
  return text !== "all" && !/[*?~@]|:[&!]|^[&!]|^all[[:,]/.test(text);
}
