import { plain, type Vars } from "../core/values/vars.ts";
import type { Frame, RoleInstance } from "./frame.ts";
import type { Interpreter } from "./interpreter.ts";
import type { Node } from "./ir.ts";
import { allDependencies } from "./vars.ts";

/**
 * Return the roles that statements import, and those that the roles' own tasks import, with their dependencies. As in
 * Ansible, all tasks of the play see their defaults and vars, those before the import, too.
 */
export function importedRoles(
  interpreter: Interpreter,
  nodes: readonly Node[],
  parents: readonly RoleInstance[] = [],
): readonly RoleInstance[] {
  return nodes.flatMap((node) => importedBy(interpreter, node, parents));
}

function importedBy(
  interpreter: Interpreter,
  node: Node,
  parents: readonly RoleInstance[],
): readonly RoleInstance[] {
  if (node.kind === "task") return [];
  if (node.kind === "block")
    return importedRoles(interpreter, [...node.block, ...node.rescue, ...node.always], parents);
  const role = whereFound(() => interpreter.instance(node.use, parents));
  if (role === undefined || parents.some((each) => each.node === role.node)) return [];
  return [...allDependencies(role), role, ...importedWithin(interpreter, role)];
}

/** Return the roles that the tasks of a role import. */
export function importedWithin(interpreter: Interpreter, role: RoleInstance): readonly RoleInstance[] {
  const tasks = whereFound(() => interpreter.roleTasks(role, "tasks"));
  return importedRoles(interpreter, tasks?.nodes ?? [], [...role.parents, role]);
}

/** Return the defaults and vars of a role of a play, and of its dependencies, as far as they can be rendered. */
export function renderedVars(interpreter: Interpreter, play: Frame, role: RoleInstance): Vars {
  const frame: Frame = { parent: play, keys: {}, vars: {}, role, file: role.node.path };
  const { vars } = interpreter.templar(frame);
  const found: Record<string, unknown> = {};
  for (const each of [...allDependencies(role), role])
    for (const name of Object.keys({ ...each.defaults, ...each.vars })) {
      const value = whereFound(() => plain(vars[name]));
      if (value !== undefined) found[name] = value;
    }
  return found;
}

/** The statement that asks for what is not there tells of it when it is reached. */
function whereFound<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}
