/** What tests of roles and inventories import: an embedded fleet to run them on. */
export { type EmbeddedFleet, startEmbeddedFleet } from "./embedded/fleet.ts";
export { readInventory } from "./controller/read-inventory.ts";
