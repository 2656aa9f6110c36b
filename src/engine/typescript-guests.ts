import type { Ended, Ends } from "./ended.ts";
import type { GuestPlay, TypeScriptGuest } from "./guest-types.ts";
import { GuestWatch } from "./guest-watch.ts";
import { type PlayHost, PlayRun } from "./play.ts";
import type { DeclaredTask, RoleRun } from "./role.ts";

// Roles in TypeScript within a play in YAML. Only the interpreter of such plays has use for this.

/** The side of the engine that roles in TypeScript use within a play in YAML. */
export interface TypeScriptGuestHost {
  readonly host: Omit<PlayHost, "perform">;
  declare(guest: TypeScriptGuest, handlersOfPlay: () => readonly string[]): Promise<RoleRun>;
  perform(role: RoleRun, task: DeclaredTask, guest: TypeScriptGuest, ends: Ends): Promise<Ended | null>;
}

/** Make ready for the roles in TypeScript of a play in YAML. */
export function openTypeScriptGuests({
  host,
  declare,
  perform,
}: TypeScriptGuestHost): GuestPlay<TypeScriptGuest> {
  const watch = new GuestWatch();
  const uses = new Map<RoleRun, TypeScriptGuest>();
  let onPlan: () => void = () => {};
  const play = new PlayRun([], {
    ...host,
    planned: () => onPlan(),
    perform: async (role, task, ends) => {
      const ended = await perform(role, task, uses.get(role)!, ends);
      if (ended !== null) watch.note(ended);
      return ended;
    },
  });
  return {
    run: async (guest, tell) => {
      onPlan = tell;
      const role = await declare(guest, () => [...play.handlers, ...(host.around?.handlers ?? [])]);
      uses.set(role, guest);
      return watch.take(await play.runAlso(role));
    },
    flush: async (tell) => {
      onPlan = tell;
      return watch.take(await play.flush());
    },
    notify: (name) => play.notify(name),
    get handlers() {
      return play.handlers;
    },
    get waiting() {
      return play.waiting;
    },
    close: () => play.end(),
  };
}
