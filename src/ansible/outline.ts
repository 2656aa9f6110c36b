import type { TaskOutline } from "../core/program.ts";
import type { Vars } from "../core/values/vars.ts";
import { holdsTemplate } from "../vars/scope.ts";
import type { Keys, Node, PlaybookTree, PlayNode, RoleUseNode, ScriptRoles } from "./ir.ts";

/** The statements around a listed task. */
interface Around {
  readonly tags: readonly string[];
  readonly role: string;
  /** Directories of the roles around, to end where roles depend on each other. */
  readonly within: readonly string[];
  readonly scripts: ScriptRoles;
  /** The vars of the play. */
  readonly vars: Vars;
}

/**
 * List the tasks of a play as they are known before it runs, in order, with all tags of what is around them: includes
 * are tasks; handlers, `rescue` and `always` are not listed.
 */
export function outlinePlay(
  tree: PlaybookTree,
  play: PlayNode,
  scripts: ScriptRoles,
): readonly TaskOutline[] {
  const around: Around = { tags: tagsOf(play.keys), role: "", within: [], scripts, vars: play.vars };
  return [
    ...listNodes(tree, play.preTasks, around),
    ...play.roles.flatMap((use) => listRole(tree, use, around)),
    ...listNodes(tree, [...play.tasks, ...play.postTasks], around),
  ];
}

/** List the tasks of a role that a play in TypeScript uses, as {@link outlinePlay} lists them. */
export function outlineRole(tree: PlaybookTree, use: RoleUseNode): readonly TaskOutline[] {
  return listRole(tree, use, { tags: [], role: "", within: [], scripts: {}, vars: {} });
}

function listNodes(tree: PlaybookTree, nodes: readonly Node[], around: Around): readonly TaskOutline[] {
  return nodes.flatMap((node) => listNode(tree, node, around));
}

function listNode(tree: PlaybookTree, node: Node, around: Around): readonly TaskOutline[] {
  switch (node.kind) {
    case "task": {
      const { name, keys } = node;
      const tags = [...around.tags, ...tagsOf(keys)];
      // As in Ansible, the name of a module stands without its role.
      return [name === undefined ? { name: node.module, role: "", tags } : { name, role: around.role, tags }];
    }
    case "block": {
      const inner = { ...around, tags: [...around.tags, ...tagsOf(node.keys)] };
      return listNodes(tree, node.block, inner);
    }
    case "role":
      return listRole(tree, node.use, around);
  }
}

function listRole(tree: PlaybookTree, use: RoleUseNode, around: Around): readonly TaskOutline[] {
  const path = use.role ?? tree.roleNames[use.name];
  const role = path === undefined ? undefined : tree.roles[path];
  if (role === undefined || around.within.includes(role.path)) return [];
  const inner: Around = {
    ...around,
    tags: [...around.tags, ...tagsOf(use.keys)],
    role: use.name,
    within: [...around.within, role.path],
  };
  const script = around.scripts[role.path];
  if (script !== undefined) {
    const { tags } = inner;
    // Of vars that are templates, only a run knows the values.
    const known = Object.entries({ ...around.vars, ...(use.keys.vars as Vars | undefined), ...use.params });
    const vars = Object.fromEntries(known.filter(([, value]) => !holdsTemplate(value)));
    return [{ name: "tasks in TypeScript", role: role.name, tags, guest: { ...script({}, { tags }), vars } }];
  }
  const file = [".yml", ".yaml", ".json", ""]
    .map((suffix) => tree.tasks[`${role.path}/tasks/${use.from.tasks ?? "main"}${suffix}`])
    .find((found) => found !== undefined);
  return [
    ...role.dependencies.flatMap((dependency) => listRole(tree, dependency, inner)),
    ...(file === undefined || "error" in file ? [] : listNodes(tree, file.content, inner)),
  ];
}

function tagsOf({ tags = [] }: Keys): readonly string[] {
  return [tags].flat().map(String);
}

/** Count the tasks in statements, as far as they are known. */
export function countTasks(nodes: readonly Node[]): number {
  return nodes.reduce((sum, node) => {
    if (node.kind === "task") return sum + 1;
    if (node.kind === "role") return sum;
    return sum + countTasks(node.block) + countTasks(node.rescue) + countTasks(node.always);
  }, 0);
}
