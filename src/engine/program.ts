import type { ActionContext, Memo } from "../core/action.ts";
import type { AssetStore } from "../core/asset.ts";
import type { TaskRef } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { PlayProgram, ProgramWorld } from "../core/program.ts";
import type { Job } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";
import type { System } from "../core/system.ts";
import type { Vars } from "../core/values/vars.ts";
import type { TemplateOptions, Templates } from "../template/index.ts";
import type { Ended, Ends, PlayEnd } from "./ended.ts";
import type { HostHandlers } from "./guest-types.ts";
import type { TypeScriptGuestHost } from "./typescript-guests.ts";

// Plays that carry themselves out, task by task, and what the engine gives them to do so.

/** The engine's side of a play that carries itself out. */
export interface ProgramHost {
  readonly job: Job;
  readonly play: PlayDefinition;
  readonly index: number;
  /** The host's facts, as the user of the play finds them. */
  readonly facts: Facts;
  /** Gather these facts anew. */
  gather(): Promise<Facts>;
  /** The machine as a task with this `become` acts on it; undefined: as the play does. */
  systemOf(become: boolean | string | undefined): System;
  /** What a controller lends to plays that are carried out there; absent on hosts. */
  readonly world: ProgramWorld | undefined;
  readonly assets: AssetStore;
  readonly memo: Memo;
  /** Make templates; those of one role share what was compiled. */
  makeTemplates(options: TemplateOptions): Templates;
  readonly ends: Ends;
  /** Handlers, as `role:handler`, that an earlier run notified and did not run. */
  readonly leftOver: readonly string[];
  /** Give a task its turn. */
  perform(task: ProgramTask): Promise<Ended>;
  /** The engine's side of roles in TypeScript within the play. */
  guestHost(around: HostHandlers): TypeScriptGuestHost;
  /** The failure of a task counts as rescued. */
  rescue(task: TaskRef): void;
  /** Tell the number of tasks that are still waiting. */
  planned(waiting: number): void;
  log(level: "info" | "warn", text: string): void;
}

/** The engine's side of roles in Ansible's YAML within a play in TypeScript. */
export interface AnsibleGuestHost extends ProgramHost {
  readonly around: HostHandlers;
}

/** A task of such a play. */
export interface ProgramTask extends Pick<TaskRef, "role" | "name" | "action" | "handler"> {
  /** One host of the play's batch does the task, and the others take its result. */
  readonly runOnce?: boolean;
  /** Do the task. A result that an earlier run recorded stands for it. */
  run(turn: ProgramTurn): Promise<ProgramResult>;
}

/** The end of a task. */
export interface ProgramResult {
  readonly result: Result;
  /** Keep output, diff and data out of events, journal and screen. */
  readonly noLog?: boolean;
}

/** The surroundings of a task that has its turn. */
export interface ProgramTurn {
  /** Set for a task that has restarted the host: milliseconds since it began. */
  readonly restartedMs: number | undefined;
  /** Make the context of an action. */
  context(options: TurnContext): ActionContext;
  /** Show output live. */
  output(stream: "stdout" | "stderr", text: string): void;
}

/** The parts of an action's context that the play decides. */
export interface TurnContext {
  readonly vars: Vars;
  readonly check: boolean;
  readonly signal: AbortSignal;
  /** Replace the search for assets and the rendering of templates. */
  readonly files: Pick<ActionContext, "asset" | "assetTree" | "assetEntries" | "render">;
  /** The facts of the machine worked on. Default: the host's. */
  readonly facts?: Facts;
  /** True when the play keeps the action's data. */
  readonly registered?: boolean;
  /** Show nothing of the action's output. */
  readonly silent?: boolean;
}

/** Carry out a play by its program. */
export function runProgram(program: PlayProgram, host: ProgramHost): Promise<PlayEnd> {
  // Core, where plays are defined, knows nothing of the engine.
  return (program.run as (host: ProgramHost) => Promise<PlayEnd>)(host);
}
