import type { TaskOutline } from "../../core/program.ts";
import type { Vars } from "../../core/values/vars.ts";
import { holdsTemplate, loneName } from "../../vars/scope.ts";
import type { Keys, Node, PlaybookTree, PlayNode, RoleUseNode, ScriptRoles } from "../ir.ts";
import { validationOf } from "../modules/argument-spec.ts";
import { roleOf, tasksOf } from "./roles.ts";

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
  const { vars } = play;
  const around: Around = { tags: tagsOf(play.keys, vars), role: "", within: [], scripts, vars };
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
      const { name, module, written = module, keys } = node;
      const tags = [...around.tags, ...tagsOf(keys, around.vars)];
      // As in Ansible, the name of a module stands without its role, and so does that of an include of a role.
      const role = name === undefined || module === "include_role" ? "" : around.role;
      return [{ name: name ?? written, role, tags }];
    }
    case "block": {
      const inner = { ...around, tags: [...around.tags, ...tagsOf(node.keys, around.vars)] };
      return listNodes(tree, node.block, inner);
    }
    case "role":
      return listRole(tree, node.use, around);
  }
}

function listRole(tree: PlaybookTree, use: RoleUseNode, around: Around): readonly TaskOutline[] {
  const role = roleOf(tree, use);
  if (role === undefined || around.within.includes(role.path)) return [];
  const inner: Around = {
    ...around,
    tags: [...around.tags, ...tagsOf(use.keys, around.vars)],
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
  const check = use.validates === undefined ? validationOf(use, role) : undefined;
  const validated =
    check === undefined ? [] : [{ name: check.name, role: use.name, tags: ["always", ...inner.tags] }];
  return [
    ...role.dependencies.flatMap((dependency) => listRole(tree, dependency, inner)),
    ...validated,
    ...listNodes(tree, tasksOf(tree, role, use), inner),
  ];
}

/** Return the tags of a statement; for those that name a var of the play, its value where that is no template. */
function tagsOf({ tags = [] }: Keys, vars: Vars): readonly string[] {
  return [tags].flat().flatMap((tag) => {
    const value = vars[loneName(String(tag)) ?? ""];
    return value === undefined || holdsTemplate(value) ? String(tag) : [value].flat().map(String);
  });
}

/** Count the tasks in statements, as far as they are known. */
export function countTasks(nodes: readonly Node[]): number {
  return nodes.reduce((sum, node) => {
    if (node.kind === "task") return sum + 1;
    if (node.kind === "role") return sum;
    return sum + countTasks(node.block) + countTasks(node.rescue) + countTasks(node.always);
  }, 0);
}
