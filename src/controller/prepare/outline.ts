import { isStart, type TaskOutline } from "../../core/program.ts";
import type { RoleUse } from "../../core/role.ts";
import { isWanted, type TagSelection, tagList } from "../../engine/check-task.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import type { RunOptions } from "./options.ts";
import { type HostPlan, readHostPlan } from "./plan.ts";
import { foreseeTasks } from "./preflight.ts";
import { type PreparedPlaybook, plainExtraVars, preparePlaybook } from "./read.ts";

/** The parts of a run that decide what it would do. */
export interface OutlineOptions extends Required<Pick<RunOptions, "inventory" | "tags" | "skipTags">> {
  readonly playbook: string;
  readonly cwd: string;
  readonly limit: string | undefined;
  readonly extraVars: RunOptions["extraVars"];
  readonly connection: RunOptions["connection"];
  readonly local?: boolean | undefined;
  readonly ansible: RunOptions["ansible"];
  readonly secrets: SecretStore;
  /** True to go on without the tasks of a play whose roles cannot declare them. Default false. */
  readonly isLenient?: boolean;
}

/** A play as it is listed before a run. */
export interface PlayOutline {
  readonly name: string;
  /** The pattern of its hosts. */
  readonly hosts: string;
  readonly hostNames: readonly string[];
  readonly tags: readonly string[];
  /** The tasks that are known before a run and selected by tags, in order. */
  readonly tasks: readonly TaskOutline[];
}

/** A playbook as it is listed before a run. */
export interface PlaybookOutline {
  readonly plays: readonly PlayOutline[];
  readonly warnings: readonly string[];
}

/**
 * List the plays of a playbook with their hosts and tasks, without touching a host. Of a playbook in TypeScript the tasks
 * are those that its roles declare for a play's first host before they await anything. Fails as the start of a run.
 */
export async function outlinePlaybook(options: OutlineOptions): Promise<PlaybookOutline> {
  const { playbook, cwd, secrets } = options;
  const known = await plainExtraVars(options.extraVars, { cwd, secrets });
  const prepared = await preparePlaybook(playbook, cwd, options.ansible, known);
  const { plays, groups, inventory, extraVars } = await readHostPlan(prepared, options);
  const listed: PlayOutline[] = [];
  for (const { play, hosts } of plays) {
    const tasks = await tasksOf({ play, hosts, groups, extraVars }, prepared).catch((thrown: unknown) => {
      if (options.isLenient === true) return [];
      throw thrown;
    });
    listed.push({
      name: play.name,
      hosts: play.hosts,
      hostNames: hosts.map(({ name }) => name),
      tags: tagList(play.tags),
      tasks: tasks.filter(({ tags }) => isWanted(tags, options as TagSelection)),
    });
  }
  return { plays: listed, warnings: inventory.warnings ?? [] };
}

/** Return the index of the first play that has a task to start at, as far as tasks are known before a run. */
export async function playOfStart(
  start: string,
  plan: HostPlan,
  prepared: PreparedPlaybook,
): Promise<number | undefined> {
  const { plays, groups, extraVars } = plan;
  for (const { index, play, hosts } of plays) {
    const tasks = await tasksOf({ play, hosts, groups, extraVars }, prepared);
    if (tasks.some((task) => isStart(start, task))) return index;
  }
  return undefined;
}

type PlayParts = Omit<Parameters<typeof foreseeTasks>[0], "assets" | "guests">;

async function tasksOf(
  parts: PlayParts,
  { assets, playbook: { guests }, locate }: PreparedPlaybook,
): Promise<readonly TaskOutline[]> {
  const { program } = parts.play;
  try {
    if (program?.outline === undefined) return await foreseeTasks({ ...parts, assets, guests });
    const tasks: TaskOutline[] = [];
    for (const task of program.outline)
      tasks.push(
        ...(task.guest === undefined ? [task] : await tasksOfGuest(task, task.guest, parts, assets)),
      );
    return tasks;
  } catch (thrown) {
    throw locate(thrown);
  }
}

/** List the tasks of a role in TypeScript within a play in YAML; the role itself where its vars are known only in a run. */
async function tasksOfGuest(
  task: TaskOutline,
  use: RoleUse,
  parts: PlayParts,
  assets: PreparedPlaybook["assets"],
): Promise<readonly TaskOutline[]> {
  const { name, hosts } = parts.play;
  const play = { name, hosts, roles: [use] };
  try {
    const tasks = await foreseeTasks({ ...parts, play, assets });
    return tasks.length > 0 ? tasks : [task];
  } catch {
    return [task];
  }
}
