import { gatherUser } from "../agent/facts/identity.ts";
import { createFactReader } from "../agent/facts/reader.ts";
import type { UserSystems } from "../agent/user-systems.ts";
import type { Facts } from "../core/facts.ts";
import type { Vars } from "../core/json.ts";
import type { System } from "../core/system.ts";

/** The host as the user of a play sees it. */
export interface PlayView {
  readonly facts: Facts;
  /** What every template of the play sees. */
  readonly hostVars: Vars;
  /** The machine as a role or a task that says `become` acts on it; undefined: as the play does. */
  systemOf(become: boolean | string | undefined): System;
}

/** What views are made from. */
export interface PlayViewOptions {
  readonly system: System;
  readonly systems: UserSystems | undefined;
  /** As this process's user finds them. */
  readonly facts: Facts;
  /** What templates see, made from facts. */
  variables(facts: Facts): Vars;
}

/** Makes what gives each play's view, by its index: facts about the user are those of the play's. */
export function createPlayViews(options: PlayViewOptions): (index: number) => Promise<PlayView> {
  const { system, systems, facts, variables } = options;
  const views = new Map<string | undefined, Promise<PlayView>>();
  const make = async (user: string | undefined): Promise<PlayView> => {
    const systemOf: PlayView["systemOf"] = (become) =>
      systems === undefined ? system : systems.of(systems.userOf(become, user));
    if (systems === undefined || user === undefined) return { facts, hostVars: variables(facts), systemOf };
    await systems.prepare?.(user);
    const env = systems.envOf(user);
    const own = await gatherUser(createFactReader(system), systems.of(user), env);
    const seen: Facts = { ...facts, ...own, env: textsOf(env) };
    return { facts: seen, hostVars: variables(seen), systemOf };
  };
  return (index) => {
    const user = systems?.userOfPlay(index);
    const view = views.get(user) ?? make(user);
    views.set(user, view);
    // A user that an earlier play makes is there when its own begins.
    view.catch(() => views.delete(user));
    return view;
  };
}

function textsOf(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
