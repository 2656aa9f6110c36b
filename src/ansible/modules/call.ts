import type { Facts } from "../../core/facts.ts";
import type { Diff } from "../../core/result.ts";
import type { System } from "../../core/system.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { ProgramTurn } from "../../engine/program.ts";
import type { Frame } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import type { TaskNode } from "../ir.ts";
import type { Register } from "../play/register.ts";
import type { Templar } from "../templar.ts";

/** A task that has its turn. */
export interface TaskRun {
  readonly interpreter: Interpreter;
  readonly node: TaskNode;
  readonly frame: Frame;
  readonly turn: ProgramTurn;
}

/** A pass of a task, ready to call its module. */
export interface ModuleCall extends TaskRun {
  readonly own: Vars;
  readonly templar: Templar;
  readonly check: boolean;
  readonly noLog: boolean;
  readonly environment: Readonly<Record<string, string>>;
}

/** A module call with its arguments rendered. */
export interface RenderedCall extends ModuleCall {
  readonly args: Readonly<Record<string, unknown>>;
  readonly system: System;
  /** The facts of the machine that the task works on. */
  readonly facts: Facts;
  /** Aborted when the task's time is up, or the run is ended at once. */
  readonly signal: AbortSignal;
  /** Perform an action of Volley's by name with Ansible's arguments. */
  perform(action: string, args: Readonly<Record<string, unknown>>): Promise<ModuleEnd>;
}

/** The end of a module call. */
export interface ModuleEnd {
  readonly register: Register;
  readonly diff?: readonly Diff[];
  readonly unknown?: boolean;
  /** True where a module that always shows its result is not to. */
  readonly isQuiet?: boolean;
  /** Vars that the rules about this result see, besides the register. */
  readonly facts?: Vars;
}
