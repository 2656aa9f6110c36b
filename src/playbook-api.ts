/** What playbooks, roles and inventories import beside the actions. All of it can run on a host. */

export { type Action, type ActionDefinition, defineAction } from "./actions/define.ts";
export type { ActionCall, ActionContext, Applied, Change, Unchanged } from "./core/action.ts";
export { skipped, unchanged } from "./core/action.ts";
export { VolleyError } from "./core/errors.ts";
export type { Facts } from "./core/facts.ts";
export { defineInventory } from "./core/inventory.ts";
export type { Play, Playbook } from "./core/playbook.ts";
export { definePlay, definePlaybook } from "./core/playbook.ts";
export type {
  AnsibleRoleOptions,
  Role,
  RoleContext,
  TaskHandle,
  TaskResult,
  TasksContext,
} from "./core/role.ts";
export { ansibleRole, defineRole, TaskFailed } from "./core/role.ts";
export type { Secret } from "./core/secret.ts";
export { secret } from "./core/secret.ts";
export type { ReadSystem, System } from "./core/system.ts";
