import { VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { loadInventory } from "../inventory/load.ts";
import { limitHosts, selectHosts } from "../inventory/select.ts";
import type { SecretStore } from "../secrets/store.ts";
import { loadInventoryModule } from "./playbook.ts";

/** An inventory and the way hosts are picked from it. */
export interface ReadInventory {
  readonly inventory: Inventory;
  /** The hosts of a pattern that are also in the limit, in the pattern's order. */
  select(pattern: string, limit?: string): readonly Host[];
}

/** What an inventory is read with. */
export interface ReadInventoryOptions {
  readonly cwd: string;
  readonly playbookDirectory: string;
  /** Opens what is encrypted. Default: nobody is asked. */
  readonly secrets?: SecretStore;
  /** Whose vars are asked for: what is encrypted for others stays closed. Default: everybody's. */
  readonly concerned?: Concerned | undefined;
}

/** The hosts of some patterns that are also in the limit. */
export interface Concerned {
  readonly patterns: readonly string[];
  readonly limit?: string | undefined;
}

/** Reads an inventory from wherever it lies, or takes the one given. Fails with `INVENTORY_MISSING` or `INVENTORY_INVALID`. */
export async function readInventory(
  from: string | readonly string[] | Inventory,
  options: ReadInventoryOptions,
): Promise<ReadInventory> {
  const { cwd } = options;
  const inventory = isInventory(from) ? from : await load(typeof from === "string" ? [from] : from, options);
  return { inventory, select: (pattern, limit) => pickHosts(inventory, cwd, pattern, limit) };
}

function pickHosts(inventory: Inventory, cwd: string, pattern: string, limit?: string): readonly Host[] {
  const hosts = selectHosts(inventory, pattern);
  return limit === undefined ? hosts : limitHosts(hosts, inventory, limit, { cwd });
}

function isInventory(value: string | readonly string[] | Inventory): value is Inventory {
  return typeof value === "object" && "hosts" in value;
}

function load(paths: readonly string[], options: ReadInventoryOptions): Promise<Inventory> {
  if (paths.length === 0) {
    throw new VolleyError("INVENTORY_MISSING", "no inventory was given", {
      hint: "name one with -i: a file, a directory, or host names with a comma: -i 'web1,web2,'",
    });
  }
  const { cwd, playbookDirectory, secrets, concerned } = options;
  return loadInventory(paths, {
    cwd,
    playbookDirectory,
    loadModule: loadInventoryModule,
    ...(secrets === undefined ? {} : { secrets }),
    ...(concerned === undefined
      ? {}
      : {
          concerned: (outline) =>
            concerned.patterns.flatMap((pattern) => pickHosts(outline, cwd, pattern, concerned.limit)),
        }),
  });
}
