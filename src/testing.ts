/** What tests of roles and inventories import: an embedded fleet to run them on. */

export { readInventory } from "./controller/prepare/read.ts";
export { startEmbeddedFleet } from "./embedded/fleet.ts";
export type { EmbeddedFleet } from "./embedded/types.ts";
