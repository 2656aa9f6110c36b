import type { RenderStyle } from "../core/action.ts";
import type { AssetStore } from "../core/asset.ts";
import type { TargetEvent, TaskRef } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { ProgramWorld } from "../core/program.ts";
import type { Question } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";
import type { Vars } from "../core/values/vars.ts";
import type { TemplateOptions, Templates } from "../template/index.ts";
import type { RenderVar } from "../vars/scope.ts";

/**
 * The engine's only way to the world. The agent supplies it on a host, `direct` over a connection; the engine
 * itself reads no file, runs no process and speaks to no controller. Time is Node's own, for all that carry it out.
 */
export interface Effects {
  /**
   * The host as the user of the play with this index sees it; as the login user sees it where that user is not there yet
   * and `mayLack` is true: default false, and the view fails.
   */
  view(play: number, mayLack?: boolean): Promise<HostView>;
  readonly assets: AssetStore;
  /** Render a template of a role. */
  readonly render: Render;
  /** Render a template in a var. */
  readonly renderVar: RenderVar;
  /** The templates of a role, by its directory. */
  readonly templatesOf: (role: string) => Templates;
  /** Make templates over a loader, for plays that render by themselves. */
  readonly makeTemplates: (options: TemplateOptions) => Templates;
  /** What a controller lends to plays that carry themselves out there. */
  readonly world?: ProgramWorld;
  /** Tell an event. */
  emit(event: TargetEvent): void;
  /** Wait at the barrier behind a play. False: no controller is left to send `continue`, so the run ends. */
  waitForOthers(play: number): Promise<boolean>;
  /** Ask the controller. Absent: the run has none. */
  ask?(question: Question): Promise<Reply>;
  /** Give the controller the whole result of a `runOnce` task, for the code of the other hosts. */
  share?(task: number, result: Result): void;
  readonly state: RunState;
  /** True when a controller takes the run up again after a restart of the host. */
  readonly survivesRestart: boolean;
  /** Aborted: end after the action now running. */
  readonly cancel: AbortSignal;
  /** Aborted: end the action now running, too. */
  readonly kill: AbortSignal;
}

/** Render a template of a role with these vars; see src/template. */
export type Render = (role: string, src: string, vars: Vars, style?: RenderStyle) => string;

/** The host as the user of one play sees it. */
export interface HostView {
  readonly facts: Facts;
  /** Gather the facts anew: tasks may have changed the host. */
  gather?(): Promise<Facts>;
  /** The machine as a role or task with this `become` acts on it; undefined: as the play does. */
  systemOf(become: boolean | string | undefined): System;
}

/** The controller's answer. */
export type Reply =
  /** This host does the task. */
  | { readonly kind: "do" }
  | Done
  /** Nobody is left to answer, so the run ends. */
  | { readonly kind: "gone" };

/** A task was done elsewhere. */
export interface Done {
  readonly kind: "done";
  /** The result as it may be told. */
  readonly result: Result;
  /** The whole result, for code, neither masked nor cut; absent where `result` is whole, or no more is known. */
  readonly whole?: Result;
  /** True when `result` is not all of it. */
  readonly partial?: boolean;
}

/** State that outlives the process which carries out a run. */
export interface RunState {
  /** Results of an earlier life of this run, or of the run it resumes. */
  readonly earlier?: Earlier | undefined;
  /** Record that a play begins. */
  beginPlay?(index: number): void;
  /** Record that the task with this number begins. */
  begin?(task: number): void;
  /** Record that the failure of a task was rescued. */
  rescue?(task: number): void;
  /** Keep a whole result; `partial` says that the event of its task's end does not tell all of it. */
  keep?(task: TaskRef, result: Result, partial: boolean): void;
  /** Record that a task, begun at this time, restarts the host now. All kept results are on the disk when this returns. */
  restart?(task: TaskRef, begunAt: number): void;
  /** Handlers, as `role:handler`, that earlier runs of the playbook notified and did not run. */
  readonly leftovers?: Leftovers | undefined;
}

/** Handlers that were notified and have not run, by play. */
export interface Leftovers {
  load(play: string): readonly string[];
  save(play: string, handlers: readonly string[]): void;
}

/** Identifies a task within its run; names may repeat, so the order of tasks counts too. */
export type TaskIdentity = Omit<TaskRef, "task">;

/** The results of a run that did not reach its end, given out in their original order. */
export interface Earlier {
  /** True when the run continues under its own name: the events of recorded tasks were already sent. */
  readonly sameRun: boolean;
  /** Take the record of a task that need not be repeated. */
  take(task: TaskIdentity): Recorded | undefined;
  /** Return whether a play had begun. */
  begun(play: number): boolean;
}

/** The record of a task in an earlier run. */
export type Recorded =
  | { readonly kind: "done"; readonly result: Result }
  /** The task restarted the host, and its end was never told. It began at this time, in milliseconds since the epoch. */
  | { readonly kind: "restarted"; readonly begunAt: number };
