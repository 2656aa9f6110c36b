/** The exports for tests of roles and inventories: an embedded fleet to run them on. */

export { readInventory } from "./controller/prepare/read.ts";
export { startEmbeddedFleet } from "./embedded/fleet.ts";
export type { EmbeddedFleet } from "./embedded/options.ts";
