/** The exports for playbooks, roles and inventories. All of them can run on a host. */

export * from "./actions/access/index.ts";
export * from "./actions/accounts/index.ts";
export * from "./actions/debian/index.ts";
export { type Action, type ActionDefinition, defineAction } from "./actions/define.ts";
export * from "./actions/edit/index.ts";
export * from "./actions/files/index.ts";
export * from "./actions/flow/index.ts";
export * from "./actions/network/index.ts";
export * from "./actions/packages/index.ts";
export * from "./actions/services/index.ts";
export * from "./actions/source/index.ts";
export * from "./actions/storage/index.ts";
export * from "./actions/system/index.ts";
export type { ActionCall, ActionContext, Applied, Change, Unchanged } from "./core/action.ts";
export { skipped, unchanged } from "./core/action.ts";
export { VolleyError } from "./core/errors.ts";
export type { Facts } from "./core/facts.ts";
export { defineInventory } from "./core/inventory.ts";
export type { Play, Playbook } from "./core/playbook.ts";
export { definePlay, definePlaybook } from "./core/playbook.ts";
export type { Role, RoleContext, TaskHandle, TaskResult, TasksContext } from "./core/role.ts";
export { defineRole, TaskFailed } from "./core/role.ts";
export type { Secret } from "./core/secret.ts";
export { secret } from "./core/secret.ts";
export type { ReadSystem, System } from "./core/system.ts";
