import type { TaskRef } from "../../core/events.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { Register } from "./register.ts";

// The ways in which a play, a role or a block ends before its last statement.

/** Thrown when a task of the host failed: blocks around it may rescue it. */
export class TaskFailure extends Error {
  readonly register: Register;
  readonly ref: TaskRef | undefined;
  readonly task: Vars;
  /** True for a fault of the playbook itself: nothing rescues it. */
  readonly isFinal: boolean;
  /** True where the failure ends the run for all hosts, unless it is rescued. */
  readonly isFatal: boolean;
  constructor(
    register: Register,
    ref: TaskRef | undefined,
    task: Vars,
    { isFinal = false, isFatal = false }: { readonly isFinal?: boolean; readonly isFatal?: boolean } = {},
  ) {
    super(typeof register.msg === "string" ? register.msg : "the task failed");
    this.register = register;
    this.ref = ref;
    this.task = task;
    this.isFinal = isFinal;
    this.isFatal = isFatal;
  }
}

/** Thrown to end the play on this host without a failure: `meta: end_play`, `end_host`. */
export class PlayEnded extends Error {}

/** Thrown to end a role: `meta: end_role`. */
export class RoleEnded extends Error {}

/** Thrown when the run is cancelled. */
export class RunCancelled extends Error {}
