export type { AnsibleTasks } from "./ansible-tasks.ts";
export { ansibleTasks } from "./ansible-tasks.ts";
