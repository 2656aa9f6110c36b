import type { RoleUse, TaskOptions } from "../core/role.ts";
import type { Vars } from "../core/values/vars.ts";
import type { Ended } from "./ended.ts";

// Guests: roles within a play of the other language. Both languages carry out the other's roles by the same contract.

/** The guests of a play on a host. `U` is a use of a role. */
export interface GuestPlay<U> {
  /** Do the tasks of a role. `onPlan` is called when another number of tasks waits. */
  run(use: U, onPlan: () => void): Promise<GuestEnd>;
  /** Run the handlers of all guests that were notified. */
  flush(onPlan: () => void): Promise<GuestEnd>;
  /** Notify a handler; false when no guest has one of this name. */
  notify(name: string): boolean;
  /** The handlers that are known by now, as `role:handler`. */
  readonly handlers: readonly string[];
  /** The number of tasks that are known of and have not had their turn. */
  readonly waiting: number;
  /** End: nothing of the guests is carried out any more. */
  close(): {
    readonly notExecuted: number;
    /** Handlers, as `role:handler`, that were notified and have not run. */
    readonly pending: readonly string[];
  };
}

/** The end of a guest's tasks or handlers. */
export interface GuestEnd {
  readonly changed: boolean;
  readonly cancelled: boolean;
  /** True when check mode cannot know what some task would do. */
  readonly unknown: boolean;
  /** The failure that ended it, which its own code did not rescue. */
  readonly failure?: Pick<Ended, "ref" | "result">;
  /** Vars that its tasks have set. */
  readonly vars?: Vars;
}

/** The handlers of the play around guests. */
export interface HostHandlers {
  /** Notify a handler; false when the play has none of this name. */
  notify(name: string): boolean;
  /** The handlers that are known by now, as `role:handler`. */
  readonly handlers: readonly string[];
}

/** The roles in Ansible's YAML of a play in TypeScript. */
export interface AnsibleGuests extends GuestPlay<AnsibleGuest> {
  /** Take a role that is to be run, to count its tasks. Fails with `PLAYBOOK_INVALID` for a role that is not there. */
  declare(guest: AnsibleGuest): void;
  /** A role that was declared is not to be run. */
  skip(guest: AnsibleGuest): void;
}

/** A use of a role in Ansible's YAML, with the keywords that the play around it gives. */
export interface AnsibleGuest {
  readonly use: RoleUse;
  readonly tags: readonly string[];
  readonly become: boolean | string | undefined;
}

/** The role in TypeScript within a play in YAML, with the keywords that the play around it gives. */
export interface TypeScriptGuest {
  readonly use: RoleUse;
  /** All vars at this place, a scope. */
  readonly vars: Vars;
  /** Options for tasks that do not give them. */
  readonly defaults: Pick<TaskOptions, "check" | "ignoreErrors" | "noLog" | "runOnce">;
}

/** The roles in Ansible's YAML of a play, once there are some. */
export interface PlayGuests {
  readonly opened: AnsibleGuests | undefined;
  /** Tell of the play's own handlers. */
  meet(around: HostHandlers): void;
}

/** The roles in Ansible's YAML that a play's roles include; opened by the first. */
export interface IncludedRoles {
  /** Count the tasks of a role that is waiting. Fails with `PLAYBOOK_INVALID` for one that is not there. */
  declare(guest: AnsibleGuest): void;
}
