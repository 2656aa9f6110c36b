import type { Node, PlaybookTree, PlayNode, RoleNode, RoleUseNode } from "../ir.ts";

/** The roles of a play as they are known before it runs, by name: those of `roles` and of imports, and all dependencies. */
export function staticRoles(
  tree: PlaybookTree,
  play: PlayNode,
): { readonly names: readonly string[]; readonly dependencies: readonly string[] } {
  const names = new Set<string>();
  const dependencies = new Set<string>();
  const walked = new Set<string>();
  const walk = (nodes: readonly Node[]): void => {
    for (const node of nodes) {
      if (node.kind === "block") [node.block, node.rescue, node.always].forEach(walk);
      if (node.kind === "role") take(node.use, names);
    }
  };
  const imports: (() => void)[] = [];
  const take = (use: RoleUseNode, into: Set<string>): void => {
    const role = roleOf(tree, use);
    if (role === undefined) return;
    if (walked.has(role.path)) return void into.add(role.name);
    walked.add(role.path);
    for (const each of role.dependencies) take(each, dependencies);
    into.add(role.name);
    // As in Ansible, the roles that a role imports stand behind all of `roles`.
    imports.push(() => walk(tasksOf(tree, role, use)));
  };
  for (const use of play.roles) take(use, names);
  for (const nodes of [play.preTasks, play.tasks, play.postTasks]) imports.push(() => walk(nodes));
  for (let next = imports.shift(); next !== undefined; next = imports.shift()) next();
  return { names: [...names], dependencies: [...dependencies] };
}

/** Return the role that is used, where it is known before the run. */
export function roleOf(tree: PlaybookTree, use: RoleUseNode): RoleNode | undefined {
  const path = use.role ?? tree.roleNames[use.name];
  return path === undefined ? undefined : tree.roles[path];
}

/** Return the tasks that a use of a role begins with, or its handlers. */
export function tasksOf(
  tree: PlaybookTree,
  role: RoleNode,
  use: RoleUseNode,
  kind: "tasks" | "handlers" = "tasks",
): readonly Node[] {
  const file = [".yml", ".yaml", ".json", ""]
    .map((suffix) => tree.tasks[`${role.path}/${kind}/${use.from[kind] ?? "main"}${suffix}`])
    .find((found) => found !== undefined);
  return file === undefined || "error" in file ? [] : file.content;
}
