import type { PlayDefinition } from "../core/playbook.ts";

/**
 * How many tasks a play has that will not be begun, by the text of its roles, because none of its code may run any more:
 * an estimate, which knows nothing of loops, conditions and tags.
 */
export function estimateTasks({ roles }: PlayDefinition): number {
  return roles.reduce((sum, { role }) => sum + countCalls(String(role.tasks)), 0);
}

function countCalls(text: string): number {
  // Where the bundle has another `task` above, it is called by another name: `{ task: task2 }`.
  const name = /^[^{]*\{[^}]*?\btask\s*:\s*([\w$]+)/.exec(text)?.[1] ?? "task";
  return text.split(new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}\\s*\\(`)).length - 1;
}
