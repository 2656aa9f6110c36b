/** The interface for programs that run playbooks themselves. */

export type { RunOptions } from "./controller/prepare/options.ts";
export { readInventory } from "./controller/prepare/read.ts";
export type { Run } from "./controller/run.ts";
export { run } from "./controller/run.ts";
export type { Event, Summary } from "./core/events.ts";
export type { SecretOptions } from "./vars/secrets/sources.ts";
