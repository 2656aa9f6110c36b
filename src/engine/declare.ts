import { VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { Job } from "../core/protocol.ts";
import { type RoleContext, type RoleUse, resolveRoleVars } from "../core/role.ts";

import type { ReadSystem } from "../core/system.ts";
import { plain, plainVars, type Vars } from "../core/values/vars.ts";

import { isRendered, viewScope } from "../vars/scope.ts";
import { tagList } from "./check-task.ts";
import { roleVariables } from "./context.ts";
import { whenLooked } from "./render.ts";
import { RoleRun } from "./role.ts";

/** The options of declaring a play's roles. */
export interface DeclareOptions {
  readonly play: PlayDefinition;
  readonly job: Job;
  /** The vars every template of the play sees. */
  readonly hostVars: Vars;
  readonly facts: Facts;
  readonly systemOf: (become: boolean | string | undefined) => ReadSystem;
  /** Aborted: queries of a role's own code are ended. */
  readonly cancel: AbortSignal;
  readonly log: (text: string) => void;
}

/** Have the roles of a play declare their tasks, each up to its first `await`. */
export async function declareRoles(options: DeclareOptions): Promise<readonly RoleRun[]> {
  const roles: RoleRun[] = [];
  const handlersOfPlay = (): readonly string[] =>
    roles.flatMap(({ use, handlers }) => [...handlers.keys()].map((name) => `${use.role.name}:${name}`));
  for (const use of options.play.roles) roles.push(await prepareRole(use, handlersOfPlay, options));
  for (const role of roles) role.declare();
  return roles;
}

async function prepareRole(
  use: RoleUse,
  handlersOfPlay: () => readonly string[],
  { play, job, hostVars, facts, systemOf, cancel, log }: DeclareOptions,
): Promise<RoleRun> {
  const system = systemOf(use.options.become);
  const { vars: playVars = {} } = play;
  const scope = roleVariables(hostVars, playVars, use, use.vars);
  const seen = plainVars(viewScope(scope, job.vars, playVars), playVars);
  const vars = await whenLooked(() =>
    resolveRoleVars(use, seen, job.host, (name) => isRendered(scope, name)),
  );
  const own = use.role.facts === undefined ? {} : ((await use.role.facts(system, facts)) as object);
  const context: RoleContext = {
    vars,
    // Facts may be known only when they are asked for, so they are copied only where the role adds its own.
    facts: use.role.facts === undefined ? facts : { ...facts, ...own },
    host: { name: job.host, groups: job.groups, vars: plainVars(viewScope(hostVars, job.vars)) },
    groups: job.inventoryGroups ?? UNSENT,
    hostVars: plain(job.hostVars) as Job["hostVars"],
    check: job.options.check,
  };
  const playTags = tagList(play.tags);
  return new RoleRun({
    use,
    context,
    system,
    selection: job.options,
    playTags,
    handlersOfPlay,
    cancel,
    log,
  });
}

/** Stands for groups that were not sent because nothing seemed to ask for them: an error is better than no groups. */
const UNSENT: RoleContext["groups"] = new Proxy(
  {},
  {
    get: (_groups, name) => {
      if (typeof name === "symbol") return undefined;
      throw new VolleyError("PLAYBOOK_INVALID", "the inventory's groups were not sent to this host", {
        hint: "they are where the playbook's code has the word `groups`",
      });
    },
  },
);
