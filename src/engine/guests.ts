import { VolleyError } from "../core/errors.ts";
import type { Playbook } from "../core/playbook.ts";
import type { GuestRoles } from "../core/program.ts";
import type { Ended, Ends } from "./ended.ts";
import type {
  AnsibleGuest,
  AnsibleGuests,
  GuestPlay,
  HostHandlers,
  IncludedRoles,
  PlayGuests,
  TypeScriptGuest,
} from "./guest-types.ts";
import { GuestWatch } from "./guest-watch.ts";
import { type PlayHost, PlayRun } from "./play.ts";
import type { AnsibleGuestHost } from "./program.ts";
import type { DeclaredTask, RoleRun } from "./role.ts";

// The roles of a play that are written in the other language, as the engine carries them out.

/** The roles in Ansible's YAML of a play in TypeScript: the first that a role includes opens them. */
export class Included implements PlayGuests, IncludedRoles {
  readonly #roles: GuestRoles | undefined;
  readonly #makeHost: (around: HostHandlers) => AnsibleGuestHost;
  #around: HostHandlers | undefined;
  #opened: AnsibleGuests | undefined;

  constructor({ guests }: Pick<Playbook, "guests">, makeHost: (around: HostHandlers) => AnsibleGuestHost) {
    this.#roles = guests;
    this.#makeHost = makeHost;
  }

  get opened(): AnsibleGuests | undefined {
    return this.#opened;
  }

  declare(guest: AnsibleGuest): void {
    this.#opened ??= this.#open(guest);
    this.#opened.declare(guest);
  }

  meet(around: HostHandlers): void {
    this.#around = around;
  }

  #open({ use }: AnsibleGuest): AnsibleGuests {
    if (this.#roles === undefined) throw isMissing(use.role.ansible?.name ?? use.role.name);
    const self = this;
    const around: HostHandlers = {
      notify: (name) => self.#around?.notify(name) ?? false,
      get handlers() {
        return self.#around?.handlers ?? [];
      },
    };
    // Core, where playbooks are defined, knows nothing of the engine.
    return (this.#roles.open as (host: AnsibleGuestHost) => AnsibleGuests)(this.#makeHost(around));
  }
}

/** The error for a role in YAML that the build has not found in the playbook. */
export function isMissing(name: string): VolleyError {
  return new VolleyError("PLAYBOOK_INVALID", `the role "${name}" is not in the bundle`, {
    hint: 'the build looks for names that stand in the call: write ansibleRole("NAME")',
  });
}

/** The side of the engine that roles in TypeScript use within a play in YAML. */
interface TypeScriptGuestHost {
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
