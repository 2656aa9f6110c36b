import { readBool } from "../../actions/coerce.ts";
import { holdsTemplate } from "../../vars/scope.ts";
import type { Node, PlaybookTree, PlayNode, RoleUseNode, TaskNode } from "../ir.ts";
import { CONTROLLER, INCLUDES, PLACELESS } from "../keywords.ts";
import { roleOf, tasksOf } from "./roles.ts";

// The demands of a play's tasks on its hosts, as far as the tasks are known before a run. The play itself runs where hosts
// have been connected, which is too late to wait for a host, or to do without one.

/** The default of `timeout`, in seconds. */
const TIMEOUT_SECONDS = 600;

/** Return the seconds for which hosts are tried again that the play waits for before it asks anything else of them. */
export function waitOf(tree: PlaybookTree, play: PlayNode): number {
  if (gathersFacts(tree, play)) return 0;
  for (const task of new Walk(tree, false).play(play)) {
    if (task?.module === "wait_for_connection" && task.keys.delegate_to === undefined) {
      const seconds = Number(task.args.timeout ?? TIMEOUT_SECONDS);
      return Number.isFinite(seconds) ? Math.max(0, seconds) : TIMEOUT_SECONDS;
    }
    if (task === undefined || INCLUDES.has(task.module) || !PLACELESS.has(task.module)) return 0;
  }
  return 0;
}

/** Return whether nothing of the play asks anything of its hosts: as in Ansible, they need not be there then. */
export function asksNoHost(tree: PlaybookTree, play: PlayNode): boolean {
  if (gathersFacts(tree, play)) return false;
  let includes = false;
  const isPlaceless = (task: TaskNode | undefined): boolean => {
    if (task === undefined) return false;
    const { module, keys } = task;
    includes ||= INCLUDES.has(module);
    return PLACELESS.has(module) || module === "meta" || isElsewhere(keys.delegate_to);
  };
  const walk = new Walk(tree, true);
  for (const task of walk.play(play)) if (!isPlaceless(task)) return false;
  if (!includes) return true;
  // An include may bring any file in.
  for (const task of walk.files()) if (!isPlaceless(task)) return false;
  return true;
}

function gathersFacts({ settings: { gathering = "implicit" } }: PlaybookTree, { keys }: PlayNode): boolean {
  return readBool(keys.gather_facts) ?? gathering !== "explicit";
}

/** Return whether a task is for this machine, and not for the play's host. */
function isElsewhere(place: unknown): boolean {
  return typeof place === "string" && !holdsTemplate(place) && CONTROLLER.has(place);
}

/** The tasks of a play that are known before it runs, in order; undefined for a role that is none of tasks. */
type Tasks = Generator<TaskNode | undefined>;

class Walk {
  readonly #tree: PlaybookTree;
  /** True for all tasks: those of `rescue`, `always` and handlers, too. */
  readonly #isWhole: boolean;

  constructor(tree: PlaybookTree, isWhole: boolean) {
    this.#tree = tree;
    this.#isWhole = isWhole;
  }

  *play({ preTasks, roles, tasks, postTasks, handlers }: PlayNode): Tasks {
    yield* this.#nodes(preTasks, []);
    for (const use of roles) yield* this.#role(use, []);
    yield* this.#nodes([...tasks, ...postTasks], []);
    if (this.#isWhole) yield* this.#nodes(handlers, []);
  }

  /** All files of tasks that were read, handlers of roles among them. */
  *files(): Tasks {
    for (const file of Object.values(this.#tree.tasks)) {
      if ("content" in file) yield* this.#nodes(file.content, []);
    }
    for (const { script } of Object.values(this.#tree.roles)) if (script !== undefined) yield undefined;
  }

  /** `within`: directories of the roles around, to end where roles depend on each other. */
  *#nodes(nodes: readonly Node[], within: readonly string[]): Tasks {
    for (const node of nodes) {
      if (node.kind === "task") yield node;
      else if (node.kind === "role") yield* this.#role(node.use, within);
      else {
        yield* this.#nodes(node.block, within);
        if (this.#isWhole) yield* this.#nodes([...node.rescue, ...node.always], within);
      }
    }
  }

  *#role(use: RoleUseNode, within: readonly string[]): Tasks {
    const role = roleOf(this.#tree, use);
    if (role === undefined || role.script !== undefined) return yield undefined;
    if (within.includes(role.path)) return;
    const inside = [...within, role.path];
    for (const dependency of role.dependencies) yield* this.#role(dependency, inside);
    yield* this.#nodes(tasksOf(this.#tree, role, use), inside);
    if (this.#isWhole) yield* this.#nodes(tasksOf(this.#tree, role, use, "handlers"), inside);
  }
}
