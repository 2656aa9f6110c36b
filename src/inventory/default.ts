import { existsSync } from "node:fs";
import { join } from "node:path";

const NAMES = ["inventory", "inventory.ts", "inventory.yaml", "inventory.yml", "inventory.ini"];

/** Return the inventory of a directory where none is named: `$VOLLEY_INVENTORY`, or `inventory` there; undefined: none. */
export function defaultInventory(directory: string): string | undefined {
  const fromEnvironment = process.env.VOLLEY_INVENTORY;
  if (fromEnvironment !== undefined && fromEnvironment !== "") return fromEnvironment;
  return NAMES.find((name) => existsSync(join(directory, name)));
}
