import { readBool } from "../actions/coerce.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { Node, PlaybookTree, PlayNode, RoleUseNode, TaskNode } from "./ir.ts";
import { INCLUDES, PLACELESS } from "./keywords.ts";
import { roleOf, tasksOf } from "./known-roles.ts";

/** The default of `timeout`, in seconds. */
const TIMEOUT_SECONDS = 600;

/**
 * Return how long hosts are tried again that the play waits for: nothing before its `wait_for_connection` asks anything of
 * them, facts neither. The play itself runs where hosts have been connected, which is too late to wait.
 */
export function waitOf(tree: PlaybookTree, play: PlayNode): Pick<PlayDefinition, "waitForConnection"> {
  const { gathering = "implicit" } = tree.settings;
  if (readBool(play.keys.gather_facts) ?? gathering !== "explicit") return {};
  for (const { module, args, keys } of tasksOfPlay(tree, play)) {
    if (module === "wait_for_connection" && keys.delegate_to === undefined) {
      const seconds = Number(args.timeout ?? TIMEOUT_SECONDS);
      return { waitForConnection: Number.isFinite(seconds) ? Math.max(0, seconds) : TIMEOUT_SECONDS };
    }
    if (INCLUDES.has(module) || !PLACELESS.has(module)) return {};
  }
  return {};
}

function* tasksOfPlay(tree: PlaybookTree, play: PlayNode): Generator<TaskNode> {
  yield* walk(tree, play.preTasks, []);
  for (const use of play.roles) yield* walkRole(tree, use, []);
  yield* walk(tree, play.tasks, []);
}

/** `within`: directories of the roles around, to end where roles depend on each other. */
function* walk(tree: PlaybookTree, nodes: readonly Node[], within: readonly string[]): Generator<TaskNode> {
  for (const node of nodes) {
    if (node.kind === "task") yield node;
    else if (node.kind === "block") yield* walk(tree, node.block, within);
    else yield* walkRole(tree, node.use, within);
  }
}

function* walkRole(tree: PlaybookTree, use: RoleUseNode, within: readonly string[]): Generator<TaskNode> {
  const role = roleOf(tree, use);
  if (role === undefined || within.includes(role.path)) return;
  const inside = [...within, role.path];
  for (const dependency of role.dependencies) yield* walkRole(tree, dependency, inside);
  yield* walk(tree, tasksOf(tree, role, use), inside);
}
