/** What programs import to run playbooks themselves. */
export { readInventory } from "./controller/read-inventory.ts";
export { type Run, type RunOptions, run } from "./controller/run.ts";
export type { Event, Summary } from "./core/events.ts";
export type { SecretOptions } from "./secrets/options.ts";
