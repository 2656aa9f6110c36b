/** What programs import to run playbooks themselves. */
export { readInventory } from "./controller/read-inventory.ts";
export { run } from "./controller/run.ts";
export type { Run, RunOptions } from "./controller/run-options.ts";
export type { Event, Summary } from "./core/events.ts";
export type { SecretOptions } from "./secrets/options.ts";
